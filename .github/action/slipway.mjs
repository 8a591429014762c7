// Finds the slipway that is meant, runs it, and forwards signals. Node alone: what
// is here is what runs.
import { spawn, spawnSync } from "node:child_process";
import { createHash, timingSafeEqual } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

// A cancelled job gets SIGINT, and 7.5 s later the runner begins to kill. By then
// slipway has cleaned up, or gives up, or is gone all the same.
export const patience = { SIGTERM: 6000, SIGKILL: 7000 }; // milliseconds since the first signal

/** main does what the inputs say and returns the exit code. */
export async function main(env, home) {
  const input = name => (env["INPUT_" + name.toUpperCase()] ?? "").trim();
  const args = split(input("command") || "run");
  if (input("file")) args.push("--file", input("file"));
  if (input("environment")) args.push("--environment", input("environment"));
  args.push(...split(input("args")));
  const binary = await find(input("version"), env, home);
  return run(binary, args, childEnv(env));
}

/**
 * childEnv is the environment without inputs. What the runner gives to JavaScript
 * alone, and opens the cache of the repository, is for slipway, which hands it on to nothing.
 */
export function childEnv(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("INPUT_")));
}

/** split returns the words of a line as a shell has them: quotes and backslashes, and nothing else. */
export function split(line) {
  const words = [];
  let word = null, quote = "";
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quote === "'" ? c === "'" : quote === '"' ? c === '"' : c === "'" || c === '"') {
      quote = quote ? "" : c;
      word ??= "";
    } else if (c === "\\" && quote !== "'") {
      if (++i === line.length) throw new Error(`args ends with a backslash: ${line}`);
      word = (word ?? "") + (quote && !'"\\$`'.includes(line[i]) ? "\\" : "") + line[i];
    } else if (!quote && /\s/.test(c)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (quote) throw new Error(`a quote (${quote}) is not closed in: ${line}`);
  if (word !== null) words.push(word);
  return words;
}

/** find returns the path of the binary that version means. */
export async function find(version, env, home) {
  version ||= isRelease(env.GITHUB_ACTION_REF) ? env.GITHUB_ACTION_REF : "source";
  if (version === "source") return build(home);
  const [tag, pinned] = version.split("@");
  if (isRelease(tag)) return download(tag, pinned, env);
  if (existsSync(version) && statSync(version).isFile()) return path.resolve(version);
  throw new Error(`version ${version}: want a release such as v1.2.3, the path of a binary, or source`);
}

const isRelease = ref => /^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(ref ?? "");

/** build makes the binary from the sources that the action is part of. */
function build(home) {
  const binary = path.join(home, "bin", "slipway");
  const made = spawnSync("make", ["build"], { cwd: home, stdio: ["ignore", "inherit", "inherit"] });
  if (made.error || made.status !== 0) {
    throw new Error(`slipway could not be built from source in ${home}: ${made.error?.message ?? "make build failed"} (it takes Go and make: put actions/setup-go before this step, or set version: to a release)`);
  }
  return binary;
}

/** download returns the binary of a release. Its checksum is verified whenever it is used. */
async function download(tag, pinned, env) {
  const arch = { x64: "amd64", arm64: "arm64" }[os.arch()];
  const system = { linux: "linux", darwin: "darwin", win32: "windows" }[os.platform()];
  if (!arch || !system) throw new Error(`slipway has no binary for ${os.platform()} ${os.arch()}`);
  const name = `slipway-${system}-${arch}${system === "windows" ? ".exe" : ""}`;
  const repository = env.GITHUB_ACTION_REPOSITORY || "slipway-ci/slipway";
  const from = `${env.GITHUB_SERVER_URL || "https://github.com"}/${repository}/releases/download/${tag}/`;
  const want = pinned ? pinned.replace(/^sha256:/, "") : sumOf(name, (await get(from + "checksums.txt")).toString());
  if (!/^[0-9a-f]{64}$/.test(want ?? "")) throw new Error(`${from}checksums.txt names no checksum of ${name}`);

  const dir = path.join(env.RUNNER_TOOL_CACHE || env.RUNNER_TEMP || os.tmpdir(), "slipway", tag, arch);
  const file = path.join(dir, name);
  if (existsSync(file) && matches(readFileSync(file), want)) return file;
  const bytes = await get(from + name);
  if (!matches(bytes, want)) throw new Error(`${from}${name} is not what its checksum says (want sha256:${want}): it is not run`);
  mkdirSync(dir, { recursive: true });
  const whole = `${file}.${process.pid}`;
  writeFileSync(whole, bytes);
  chmodSync(whole, 0o755);
  renameSync(whole, file);
  return file;
}

const sumOf = (name, sums) => sums.split("\n").map(l => l.trim().split(/\s+\*?/)).find(([, n]) => n === name)?.[0];

const matches = (bytes, want) => timingSafeEqual(createHash("sha256").update(bytes).digest(), Buffer.from(want, "hex"));

/** get fetches a file; a server that is busy is asked three times. */
async function get(url) {
  for (let attempt = 1; ; attempt++) {
    let failed;
    try {
      const answer = await fetch(url);
      if (answer.ok) return Buffer.from(await answer.arrayBuffer());
      failed = new Error(`${url}: ${answer.status} ${answer.statusText}`);
      if (answer.status < 500 && answer.status !== 429) throw Object.assign(failed, { final: true });
    } catch (err) {
      if (err.final || attempt === 3) throw err.final ? err : new Error(`${url}: ${err.cause?.message ?? err.message}`);
      failed = err;
    }
    if (attempt === 3) throw failed;
    await new Promise(done => setTimeout(done, 1000 * attempt));
  }
}

/** run runs the binary and returns its exit code. Signals are forwarded; a second one makes slipway give up at once. */
export function run(binary, args, env, limits = patience) {
  return new Promise((done, fail) => {
    // Listen first: a signal between the start and here would end node and leave the child alone.
    let child, timers;
    const forward = signal => {
      child.kill(signal);
      timers ??= Object.entries(limits).map(([last, after]) => setTimeout(() => child.kill(last), after));
    };
    const signals = ["SIGINT", "SIGTERM"];
    for (const s of signals) process.on(s, forward);
    child = spawn(binary, args, { env, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", err => fail(new Error(`${binary} cannot be run: ${err.message}`)));
    child.on("close", (code, signal) => {
      timers?.forEach(clearTimeout);
      for (const s of signals) process.off(s, forward);
      done(code ?? 128 + (os.constants.signals[signal] ?? 0));
    });
  });
}
