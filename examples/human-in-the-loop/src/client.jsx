import { useAgentChat } from "@cloudflare/ai-chat/react";
import { useAgent } from "agents/react";
import { StrictMode, Suspense, useState } from "react";
import { createRoot } from "react-dom/client";

import "./page.css";

const name = new URLSearchParams(location.search).get("chat") ?? "default";

// The tool that this browser answers.
const localTime = ({ location }) => `It is 10:30 in ${location}.`;

function Part({ part, decide }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (!part.type.startsWith("tool-")) return null;
  const call = `${part.type.slice(5)}(${Object.values(part.input ?? {}).join(", ")})`;
  if (part.state === "approval-requested") {
    return (
      <fieldset>
        <span>{call}?</span>
        <button type="button" onClick={() => decide(part.approval.id, true)}>
          Yes
        </button>
        <button type="button" onClick={() => decide(part.approval.id, false)}>
          No
        </button>
      </fieldset>
    );
  }
  return (
    <p>
      <small>
        {call}: {part.state === "output-available" ? String(part.output) : part.state}
      </small>
    </p>
  );
}

function Chat() {
  const agent = useAgent({ agent: "HumanInTheLoop", name });
  const { messages, sendMessage, clearHistory, addToolApprovalResponse, status, error } = useAgentChat({
    agent,
    onToolCall: ({ toolCall, addToolOutput }) => {
      if (toolCall.toolName !== "getLocalTime") return;
      addToolOutput({ toolCallId: toolCall.toolCallId, output: localTime(toolCall.input) });
    },
  });
  const [draft, setDraft] = useState("");

  const send = (event) => {
    event.preventDefault();
    if (!draft.trim()) return;
    sendMessage({ role: "user", parts: [{ type: "text", text: draft }] });
    setDraft("");
  };

  return (
    <main>
      <header>
        <h1>Human in the loop</h1>
        <button type="button" onClick={clearHistory}>
          Clear
        </button>
      </header>
      <ol aria-label="Conversation" data-status={status}>
        {messages.map((message) => (
          <li key={message.id} data-role={message.role}>
            {message.parts.map((part, index) => (
              <Part key={index} part={part} decide={(id, approved) => addToolApprovalResponse({ id, approved })} />
            ))}
          </li>
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input
          aria-label="Message"
          placeholder="What is the weather in Paris?"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
        />
        <button type="submit">Send</button>
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
