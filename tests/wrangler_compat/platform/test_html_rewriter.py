"""A page that passes is changed where a handler says so, and nowhere else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.cloudflare("Workers", "Python: `HTMLRewriter`", "same")

PAGE = (
    "<!DOCTYPE html><html><head><meta property='og:title' content=\"x\"><title>T&amp;T</title></head>"
    "<body CLASS=a><p id=one>hi <b>you</b><br/>x</p><!-- c --><ul><li>1<li>2<li>3</ul>"
    "<script>if (a<b) {}</script></body></html>\n"
)


async def rewritten(
    *handlers: tuple[str, dict[str, Callable[..., Any]]], page: str = PAGE, cut: int = 7, **document: Any
) -> str:
    import js

    rewriter = js.HTMLRewriter.new()
    for selector, each in handlers:
        rewriter.on(selector, each)
    if document:
        rewriter.onDocument(document)
    data = page.encode()
    pieces = [data[n : n + cut] for n in range(0, len(data), cut)]
    response = js.Response.new(
        js.ReadableStream.from_(pieces), headers=[("content-type", "text/html"), ("x-kept", "1")]
    )
    changed = rewriter.transform(response)
    assert changed.headers.get("x-kept") == "1"
    return await changed.text()


@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
async def test_what_no_handler_touches_comes_out_byte_for_byte(cut):
    assert await rewritten(("nothing", {"element": lambda element: element.remove()}), cut=cut) == PAGE
    looked = await rewritten(("*", {"element": lambda element: None, "text": lambda text: None}), cut=cut)
    assert looked == PAGE


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        ("p", ["p"]),
        ("*", ["html", "head", "meta", "title", "body", "p", "b", "br", "ul", "li", "li", "li", "script"]),
        ("#one", ["p"]),
        (".a", ["body"]),
        ("[property^='og:']", ["meta"]),
        ("[content=X i]", ["meta"]),
        ("[content]", ["meta"]),
        ("body > p", ["p"]),
        ("html p b", ["b"]),
        ("head > b", []),
        ("li:nth-child(1)", ["li"]),
        ("p:not(#two)", ["p"]),
        ("meta, title", ["meta", "title"]),
        ("body :first-child", ["p", "b", "li"]),
    ],
)
async def test_selectors_mean_what_they_say(selector, matched):
    seen: list[str] = []
    await rewritten((selector, {"element": lambda element: seen.append(element.tagName)}))
    assert seen[: len(matched)] == matched


@pytest.mark.parametrize("selector", ["", "a >", "a + b", "a::before", "a:hover", ":nth-child(x)", "a ! b"])
async def test_selectors_that_are_not_known_are_refused(selector):
    with pytest.raises(Exception, match="TypeError"):
        await rewritten((selector, {}))


async def test_content_goes_before_in_and_after():
    def change(element: Any) -> None:
        element.before("<", html=False)
        element.prepend("<i>1</i>", html=True)
        element.prepend("<i>0</i>", html=True)
        element.append("&", html=False)
        element.after("A").after("B")

    page = await rewritten(("b", {"element": change}))
    assert "hi &lt;<b><i>0</i><i>1</i>you&amp;</b>BA<br/>" in page


async def test_elements_are_replaced_emptied_and_unwrapped():
    assert "<p id=one>hi X<br/>" in await rewritten(("b", {"element": lambda element: element.replace("X")}))
    assert "<p id=one>hi <br/>" in await rewritten(("b", {"element": lambda element: element.remove()}))
    assert "<p id=one>hi you<br/>" in await rewritten(("b", {"element": lambda e: e.removeAndKeepContent()}))
    assert "<p id=one>new</p>" in await rewritten(("p", {"element": lambda element: element.setInnerContent("new")}))


async def test_attributes_change_and_the_others_stay_as_they_were_written():
    def change(element: Any) -> None:
        assert [tuple(pair) for pair in element.attributes] == [("property", "og:title"), ("content", "x")]
        element.setAttribute("content", 'a"b')
        element.setAttribute("new", "1")
        assert element.getAttribute("CONTENT") == 'a"b'
        assert element.hasAttribute("nope") is False

    page = await rewritten(("meta", {"element": change}))
    assert '<meta property=\'og:title\' content="a&quot;b" new="1">' in page
    assert "<body>" in await rewritten(("body", {"element": lambda element: element.removeAttribute("class")}))


async def test_tags_are_renamed_and_ends_are_heard_of():
    def change(element: Any) -> None:
        element.tagName = "em"
        element.onEndTag(lambda end: end.before(f"/{end.name}"))

    assert "<em>you/em</em>" in await rewritten(("b", {"element": change}))


async def test_text_comes_in_pieces_with_an_end():
    seen: list[tuple[str, bool]] = []

    async def text(chunk: Any) -> None:
        seen.append((chunk.text, chunk.lastInTextNode))
        if chunk.text == "you":
            chunk.replace("<we>")

    page = await rewritten(("p b", {"text": text}), cut=1000)
    assert seen == [("you", False), ("", True)]
    assert "<b>&lt;we&gt;</b>" in page


async def test_the_document_has_handlers_of_its_own():
    names: list[Any] = []

    def comment(one: Any) -> None:
        one.text = "changed"

    page = await rewritten(
        doctype=lambda doctype: names.append(doctype.name), comments=comment, end=lambda end: end.append("END")
    )
    assert names == ["html"]
    assert "<!--changed-->" in page
    assert page.endswith("\nEND")


async def test_what_is_kept_past_its_handler_is_of_no_use():
    kept: list[Any] = []
    await rewritten(("p", {"element": kept.append}))
    with pytest.raises(Exception, match="no longer valid"):
        kept[0].remove()


# Each is what a real page has and a tokenizer would write otherwise.
@pytest.mark.parametrize(
    "page",
    [
        "a\r\nb\rc<p\r\na=1\r>d\r\n",
        "x<a b='c",
        "x<div",
        "x</di",
        "x<!-- y",
        "<script>a</scr",
        "a < b <3 <",
        "</><!><!-->x--><?php 1 ?><![CDATA[<b>]]>",
        "<svg><![CDATA[<b>]]></svg>",
        "\x00<a \x00=\x00>",
        "&nbsp &#x3c &amp;amp; &unknown;",
    ],
)
@pytest.mark.parametrize("cut", [1, 3, 1000])
async def test_a_page_that_is_broken_comes_out_byte_for_byte(page, cut):
    assert (
        await rewritten(("*", {"text": lambda text: None, "comments": lambda text: None}), page=page, cut=cut) == page
    )


async def test_any_page_comes_out_byte_for_byte():
    rng = random.Random(5)
    parts = [
        "<",
        "</",
        ">",
        "/",
        "a",
        "p",
        " ",
        "=",
        "'",
        '"',
        "&amp",
        "&#x3c;",
        "\r\n",
        "\r",
        "\n",
        "\0",
        "<!--",
        "-->",
    ]
    parts += ["--!>", "<![CDATA[", "]]>", "<script>", "</script>", "<title>", "<svg>", "<?x", "<p a=b/>", "é", "<br/>"]
    for _ in range(500):
        page = "".join(rng.choices(parts, k=rng.randint(1, 25)))
        assert await rewritten(page=page, cut=rng.randint(1, 9)) == page


async def test_a_value_without_quotes_goes_to_the_end_of_the_tag():
    seen: list[Any] = []

    def change(element: Any) -> None:
        seen.append(element.getAttribute("href"))
        element.setAttribute("b", "1")

    assert await rewritten(("a", {"element": change}), page="<a href=/x/y/>z</a>") == '<a href=/x/y/ b="1">z</a>'
    assert seen == ["/x/y/"]


async def test_attributes_are_read_as_they_are_written():
    def copy(element: Any) -> None:
        element.setAttribute("to", element.getAttribute("from"))

    page = "<a from='&amp;lt;&quot;'>"
    assert await rewritten(("[from^='&amp;']", {"element": copy}), page=page) == (
        "<a from='&amp;lt;&quot;' to=\"&amp;lt;&quot;\">"
    )


async def test_what_closes_itself_in_an_image_has_nothing_in_it():
    seen: list[Any] = []

    def end(element: Any) -> None:
        seen.append(element.namespaceURI)
        element.after("!")

    page = "<svg><path/><g>x<foreignObject><p/>y</p></foreignObject></g></svg><math><mi/></math><div/>z</div>"
    changed = await rewritten(("path, p, mi, div", {"element": end}), page=page)
    assert changed == (
        "<svg><path/>!<g>x<foreignObject><p/>y</p>!</foreignObject></g></svg><math><mi/>!</math><div/>z</div>!"
    )
    assert [namespace.rpartition("/")[2] for namespace in seen] == ["svg", "xhtml", "xhtml", "xhtml"]


# What workerd 1.20260503 does.

LISTED = (
    '<div id=a class="x y"><p class=a>1<b class="a b">2</b></p><p class=b DATA-k="V" lang=en-US>3</p>'
    '<p class="">4</p><span></span><A:b></A:b></div>'
)


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        (":not(.a, .b)", "div p4 span a:b"),
        ("p:not( .a ,.b )", "p4"),
        ("p:not(.a):not([lang])", "p4"),
        # Nothing may fit of what is asked of the element, nothing is asked of what is around it.
        (":not(b.a)", "div p3 p4 span a:b"),
        (":not(div > p)", "div b2 span a:b"),
        # One within another says nothing.
        (":not(:not(p))", "div p1 b2 p3 p4 span a:b"),
        (":not(p:not(.a))", "div b2 span a:b"),
        ("[data-k=v]", ""),
        ("[data-k='v' I]", "p3"),
        ("[DATA-K]", ""),
        ("[lang|=en]", "p3"),
        ("[class^='']", "div p1 b2 p3 p4"),
        ("[class*='']", ""),
        ("[class='b'", "p3"),
        ("*|p", "p1 p3 p4"),
        ("|p", ""),
        ("A\\:b", "a:b"),
        (".\\62 , \\73 pan", "b2 p3 span"),
        ("#\\61", "div"),
        ("p:NTH-CHILD(2n + 1)", "p1 p4"),
    ],
)
async def test_selectors_match_as_in_workerd(selector, matched):
    seen: list[str] = []

    def hit(element: Any) -> None:
        number = {"a": "1", "b": "3", "": "4", "a b": "2"}.get(element.getAttribute("class"), "")
        seen.append(element.tagName + number)

    await rewritten((selector, {"element": hit}), page=LISTED)
    assert " ".join(seen) == matched


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ("", "The selector is empty."),
        (":not()", "The selector is empty."),
        ("> p", "The selector is empty."),
        ("p, ,b", "The selector is empty."),
        ("p >", "Dangling combinator in selector."),
        ("p + p", "Unsupported combinator `+` in selector."),
        ("p:hover", "Unsupported pseudo-class or pseudo-element in selector."),
        ("p::before", "Unsupported pseudo-class or pseudo-element in selector."),
        ("[href=/x]", "Unexpected token in the attribute selector."),
        ("[=a]", "Missing attribute name in attribute selector."),
        ("[class=", "Unexpected end of selector."),
        ("[class=a x]", "Unexpected token in selector."),
        ("p..a", "Invalid or unescaped class name in selector."),
        ("p:nth-child(a)", "Unexpected token in selector."),
        ("a|b", "Selectors with explicit namespaces are not supported."),
        ("p)", "Unexpected token in selector."),
    ],
)
async def test_selectors_that_are_not_known_are_refused_in_its_words(selector, text):
    with pytest.raises(Exception) as raised:
        await rewritten((selector, {}))
    assert str(raised.value) == f"TypeError: Parser error: {text}"


async def bytes_rewritten(page: bytes, kind: str = "text/html", **handlers: Callable[..., Any]) -> bytes:
    import js

    response = js.Response.new(page, headers={"content-type": kind})
    rewriter = js.HTMLRewriter.new().on("p", handlers)
    return (await rewriter.transform(response).arrayBuffer()).to_bytes()


def mark(element: Any) -> None:
    element.setAttribute("hit", "1")


async def test_bytes_that_are_no_text_pass_and_are_shown_as_such():
    seen: list[Any] = []
    page = b"<p a='\xff' b=\xc3>\xff\xfe ok \xc3<!--\xff--></p>\x80"
    changed = await bytes_rewritten(page, element=mark, comments=lambda comment: seen.append(comment.text))
    assert changed == page.replace(b"b=\xc3", b'b=\xc3 hit="1"')
    await bytes_rewritten(page, element=lambda element: seen.extend(map(tuple, element.attributes)))
    assert seen == ["\ufffd", ("a", "\ufffd"), ("b", "\ufffd")]


async def test_text_that_a_handler_has_seen_is_text():
    assert await bytes_rewritten(b"<p>a\xffb</p>", text=lambda text: None) == "<p>a\ufffdb</p>".encode()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text/html; charset=utf-16le", "Expected ASCII-compatible encoding."),
        ("text/html; charset=nope", "Unknown character encoding has been provided."),
    ],
)
async def test_encodings_that_cannot_be_read_are_refused(kind, text):
    with pytest.raises(Exception, match=f"TypeError: Parser error: {text}"):
        await bytes_rewritten(b"<p>x</p>", kind)


async def test_text_with_references_is_one_piece():
    seen: list[Any] = []
    see = {"text": lambda text: seen.append((text.text, text.lastInTextNode))}
    await rewritten(("p", see), page="<p>a&amp;b\r\nc&#65;</p>d", cut=1000)
    assert seen == [("a&amp;b\r\nc&#65;", False), ("", True)]


def after(element: Any) -> None:
    element.after("[A]")


def renamed(element: Any) -> None:
    element.tagName = "x-y"


def ended(element: Any) -> None:
    def end(tag: Any) -> None:
        tag.before(tag.name).after("a")
        tag.name = "zz"

    element.onEndTag(end)


@pytest.mark.parametrize(
    ("page", "handler", "changed"),
    [
        ("<div><p>a<p>b</div>c", after, "<div><p>a<p>b</div>[A]c"),
        ("<div><p>a<p>b</div>c", renamed, "<div><x-y>a<x-y>b</x-y>c"),
        ("<div><p>a<p>b</div>c", ended, "<div><p>a<p>bdivzz</zz>aac"),
        ("<div><p>a<p>b</div>c", lambda p: p.remove(), "<div>c"),
        ("<div><p>a<p>b</div>c", lambda p: p.removeAndKeepContent(), "<div>abc"),
        ("<div><p>a<p>b</div>c", lambda p: p.setInnerContent("I"), "<div><p>I</div>c"),
        ("<div><p>a", after, "<div><p>a"),
        ("<div><p>a", lambda p: p.append("Q"), "<div><p>a"),
        ("<p>o<b>x</b></p>t", lambda p: p.removeAndKeepContent().setInnerContent("I"), "It"),
        ("<P CLASS=A B=2>x</P>", mark, '<P CLASS=A B=2 hit="1">x</P>'),
        ("<P B=2>x</P>", lambda p: p.setAttribute("B", "3"), '<P B="3">x</P>'),
        ("<p b/c =g>x</p>", mark, '<p b c =g hit="1">x</p>'),
    ],
)
async def test_ends_of_elements_and_changed_tags_are_written_as_in_workerd(page, handler, changed):
    assert await rewritten(("p", {"element": handler}), page=page) == changed


async def test_an_instruction_is_a_comment_and_a_comment_cannot_end_itself():
    seen: list[Any] = []

    def see(comment: Any) -> None:
        seen.append(comment.text)
        try:
            comment.text = "a--> b"
        except Exception as error:
            seen.append(str(error))

    page = "<?xml version='1'?><p>"
    refused = "TypeError: Parser error: Comment text shouldn't contain comment closing sequence (`-->`)."
    assert await rewritten(page=page, comments=see) == page
    assert seen == ["?xml version='1'?", refused]


async def test_names_that_no_tag_can_have_are_refused():
    said: list[str] = []

    def name(element: Any) -> None:
        for work in (
            lambda: element.setAttribute("", "v"),
            lambda: element.setAttribute("a b", "v"),
            lambda: setattr(element, "tagName", "1"),
            lambda: setattr(element, "tagName", "a/b"),
        ):
            try:
                work()
            except Exception as error:
                said.append(str(error).removeprefix("TypeError: Parser error: "))

    await rewritten(("p", {"element": name}))
    assert said == [
        "Attribute name can't be empty.",
        "` ` character is forbidden in the attribute name",
        "The first character of the tag name should be an ASCII alphabetical character.",
        "`/` character is forbidden in the tag name",
    ]
