// Frames as they are on the wire, without a client's opinion of them.
//
// Steps: ["open", who, path], ["take", who, count], ["send", who, text], ["fence", who].
// A fence makes a call and returns what arrived before its answer: frames of one socket keep their order.

import { until } from "../stage.mjs";

const read = (frame) => {
  try {
    return JSON.parse(frame);
  } catch {
    return frame;
  }
};

export async function transcript(stage) {
  const sockets = {};
  const taken = [];
  let fences = 0;
  for (const [step, who, what] of stage.args.steps) {
    const socket = sockets[who];
    if (step === "open") {
      sockets[who] = stage.socket(what);
      await sockets[who].opened;
    } else if (step === "send") {
      socket.send(what);
    } else if (step === "take") {
      await until(() => socket.frames.length >= what, `${what} frames for ${who}`);
      taken.push([who, socket.frames.splice(0, what).map(read)]);
    } else if (step === "fence") {
      const id = `fence-${++fences}`;
      socket.send(JSON.stringify({ type: "rpc", id, method: "ping", args: [] }));
      const answers = () => socket.frames.findIndex((frame) => read(frame).id === id);
      await until(() => answers() >= 0, `${who}'s fence`);
      taken.push([who, socket.frames.splice(0, answers() + 1).slice(0, -1).map(read)]);
    }
  }
  return taken;
}
