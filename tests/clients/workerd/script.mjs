// What a scripted agent says: the test writes the chunks, and opens the gates between them.

// A step of a script is a UI message chunk, or one of
//   {gate: name}   wait until the test opens the gate
//   {fail: text}   break off with an error
//   {sse: text}    these bytes as they are
export async function* steps(script, gates) {
  for (const step of script) {
    if (step.gate) await gates.pass(step.gate);
    else if (step.fail) throw new Error(step.fail);
    else yield step;
  }
}

export function eventStream(script, gates) {
  const encoder = new TextEncoder();
  const iterator = steps(script, gates);
  const stream = new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (done) {
          controller.enqueue(encoder.encode("data: [DONE]\n\n"));
          controller.close();
        } else {
          controller.enqueue(encoder.encode(value.sse ?? `data: ${JSON.stringify(value)}\n\n`));
        }
      } catch (error) {
        controller.error(error);
      }
    },
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

export function plainText(script, gates) {
  const encoder = new TextEncoder();
  const iterator = steps(script, gates);
  const stream = new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value.text));
      } catch (error) {
        controller.error(error);
      }
    },
  });
  return new Response(stream, { headers: { "content-type": "text/plain" } });
}

// Named gates. `reached` tells when somebody stands at one.
export class Gates {
  #gates = new Map();

  #gate(name) {
    if (!this.#gates.has(name)) {
      const gate = {};
      gate.opened = new Promise((resolve) => (gate.open = resolve));
      gate.reached = new Promise((resolve) => (gate.arrive = resolve));
      this.#gates.set(name, gate);
    }
    return this.#gates.get(name);
  }

  async pass(name) {
    this.#gate(name).arrive();
    await this.#gate(name).opened;
  }

  reached(name) {
    return this.#gate(name).reached;
  }

  open(name) {
    this.#gate(name).open();
  }
}
