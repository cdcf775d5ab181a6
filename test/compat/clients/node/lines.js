// The lines of JSON that every client program shares: see ../README.md.

export function emit(event, fields = {}) {
  const at = Math.round((performance.timeOrigin + performance.now()) * 1000);
  process.stdout.write(JSON.stringify({ ...fields, event, at }) + "\n");
}

export const bytes = (text) => (text == null ? null : Buffer.from(text, "base64"));
export const text = (data) => (data == null ? null : Buffer.from(data).toString("base64"));

export async function readRecords() {
  let input = "";
  for await (const chunk of process.stdin) input += chunk;
  return input.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

// inputEnded resolves when standard input ends: the sign to leave.
export function inputEnded() {
  return new Promise((resolve) => {
    process.stdin.on("end", resolve);
    process.stdin.resume();
  });
}

// exit ends the program once all that it printed is written: a pipe takes it bit by bit.
export function exit(status) {
  process.stdout.write("", () => process.exit(status));
}
