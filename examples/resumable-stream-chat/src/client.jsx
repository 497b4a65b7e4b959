import { useAgentChat } from "@cloudflare/ai-chat/react";
import { useAgent } from "agents/react";
import { StrictMode, Suspense, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";

import "./page.css";

const name = new URLSearchParams(location.search).get("chat") ?? "default";

function Chat() {
  const agent = useAgent({ agent: "ResumableStreamingChat", name });
  const { messages, sendMessage, clearHistory, stop, status, error } = useAgentChat({ agent });
  const [draft, setDraft] = useState("");
  const end = useRef(null);
  const isBusy = status === "submitted" || status === "streaming";

  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [messages]);

  const send = (event) => {
    event.preventDefault();
    if (!draft.trim() || isBusy) return;
    sendMessage({ role: "user", parts: [{ type: "text", text: draft }] });
    setDraft("");
  };

  return (
    <main>
      <header>
        <h1>Resumable chat</h1>
        <button type="button" onClick={clearHistory}>
          Clear
        </button>
      </header>
      <ol aria-label="Conversation" data-status={status}>
        {messages.map((message) => (
          <li key={message.id} data-role={message.role}>
            {message.parts.map((part, index) => part.type === "text" && <p key={index}>{part.text}</p>)}
          </li>
        ))}
        <li ref={end} className="end" />
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input
          aria-label="Message"
          placeholder="Ask something, then reload the page"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
        />
        {isBusy ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="submit">Send</button>
        )}
      </form>
    </main>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Suspense fallback={<p>Loading…</p>}>
      <Chat />
    </Suspense>
  </StrictMode>,
);
