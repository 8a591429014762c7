import { test } from "node:test";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { childEnv, find, main, patience, run, split } from "./slipway.mjs";

const folder = () => mkdtempSync(path.join(os.tmpdir(), "slipway-action-"));

/** script writes a program that stands for slipway. */
function script(text) {
  const file = path.join(folder(), "slipway");
  writeFileSync(file, "#!/bin/sh\n" + text);
  chmodSync(file, 0o755);
  return file;
}

test("words are split as a shell does, and nothing is expanded", () => {
  for (const [line, want] of [
    ["", []],
    ["  run\t-v\n", ["run", "-v"]],
    [`--var a='b c' "d e" f\\ g ''`, ["--var", "a=b c", "d e", "f g", ""]],
    [`"a\\"b" 'c\\d' "e\\f" \${{x}} $(y) *`, [`a"b`, `c\\d`, `e\\f`, "${{x}}", "$(y)", "*"]],
  ]) assert.deepEqual(split(line), want, line);
  assert.throws(() => split("a 'b"), /not closed/);
  assert.throws(() => split("a\\"), /backslash/);
});

test("slipway gets what opens the cache, and no inputs", () => {
  const env = { ACTIONS_RUNTIME_TOKEN: "t", ACTIONS_CACHE_URL: "u", ACTIONS_RESULTS_URL: "r", PATH: "/bin", GITHUB_OUTPUT: "o" };
  assert.deepEqual(childEnv({ ...env, INPUT_ARGS: "x" }), env);
});

test("inputs become arguments, and the exit code is slipway's", async () => {
  const out = path.join(folder(), "out");
  const binary = script(`printf '%s\\n' "$@" > ${out}; env >> ${out}; exit 7\n`);
  const code = await main({ ...process.env, INPUT_COMMAND: "registry serve", INPUT_FILE: "a b.yaml", INPUT_ENVIRONMENT: "staging", INPUT_ARGS: "--var 'x=1 2'", INPUT_VERSION: binary }, folder());
  const text = readFileSync(out, "utf8");
  assert.equal(code, 7);
  assert.ok(text.startsWith("registry\nserve\n--file\na b.yaml\n--environment\nstaging\n--var\nx=1 2\n"), text);
});

/** releases serves what GitHub would, from memory. */
async function releases(t, files) {
  const asked = [];
  const server = http.createServer((q, a) => {
    asked.push(q.url);
    const body = files[path.basename(q.url)];
    if (typeof body === "number") return a.writeHead(body).end();
    body === undefined ? a.writeHead(404).end() : a.end(body);
  });
  await new Promise(done => server.listen(0, "127.0.0.1", done));
  t.after(() => server.close());
  return { asked, env: { GITHUB_SERVER_URL: `http://127.0.0.1:${server.address().port}`, GITHUB_ACTION_REPOSITORY: "acme/slipway", RUNNER_TOOL_CACHE: folder() } };
}

const name = `slipway-${os.platform() === "win32" ? "windows" : os.platform()}-${os.arch() === "x64" ? "amd64" : os.arch()}`;
const bytes = "#!/bin/sh\nexit 0\n";
const sum = createHash("sha256").update(bytes).digest("hex");

test("a release is downloaded once, verified each time", async t => {
  const { asked, env } = await releases(t, { [name]: bytes, "checksums.txt": `${"0".repeat(64)}  other\n${sum}  ${name}\n` });
  const file = await find("", { ...env, GITHUB_ACTION_REF: "v1.2.3" }, folder());
  assert.equal(readFileSync(file, "utf8"), bytes);
  assert.deepEqual(asked, ["/acme/slipway/releases/download/v1.2.3/checksums.txt", `/acme/slipway/releases/download/v1.2.3/${name}`]);
  await find("v1.2.3", env, folder());
  assert.equal(asked.length, 3, "the binary was fetched again");
  writeFileSync(file, "planted");
  assert.equal(readFileSync(await find("v1.2.3", env, folder()), "utf8"), bytes);
  assert.equal(await run(file, [], {}), 0);
});

test("what is not what its checksum says is not run", async t => {
  const { env } = await releases(t, { [name]: bytes + "planted", "checksums.txt": `${sum}  ${name}\n` });
  await assert.rejects(find("v1.2.3", env, folder()), /not what its checksum says/);
  await assert.rejects(find(`v1.2.3@sha256:${"1".repeat(64)}`, env, folder()), /not what its checksum says/);
  const none = await releases(t, { [name]: bytes, "checksums.txt": "" });
  await assert.rejects(find("v1.2.3", none.env, folder()), /names no checksum/);
  const gone = await releases(t, {});
  await assert.rejects(find("v9.9.9", gone.env, folder()), /404/);
});

test("a version that is none says what was wanted", async () => {
  await assert.rejects(find("1.2", {}, folder()), /want a release such as v1\.2\.3/);
  await assert.rejects(find("", { GITHUB_ACTION_REF: "main" }, folder()), /could not be built from source .*setup-go/);
});

test("all is over before the runner begins to kill, 7.5 s after SIGINT", () => {
  assert.ok(patience.SIGTERM < patience.SIGKILL && patience.SIGKILL < 7500, JSON.stringify(patience));
});

// The program sends the signal that it waits for: at once, when node may not yet
// know that it has started it. Whoever is left alone ends after a while.
for (const [what, traps, code] of [
  ["is forwarded", `trap 'exit 130' INT`, 130],
  ["is followed by SIGTERM when nothing happens", `trap '' INT; trap 'exit 143' TERM`, 143],
  ["is followed by SIGKILL when nothing helps", `trap '' INT TERM`, 137],
]) {
  test(`SIGINT ${what}`, async () => {
    const binary = script(`${traps}; kill -INT $PPID; i=0; while [ $((i += 1)) -lt 200 ]; do sleep 0.05; done\n`);
    const here = new URL("./slipway.mjs", import.meta.url);
    const node = spawn(process.execPath, ["--input-type=module", "-e", `import {run} from ${JSON.stringify(here.href)}; process.exitCode = await run(${JSON.stringify(binary)}, [], process.env, {SIGTERM: 300, SIGKILL: 600});`]);
    assert.equal(await new Promise(done => node.on("close", done)), code);
  });
}
