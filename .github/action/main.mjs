// What the runner starts: it finds slipway, and hands over.
import { fileURLToPath } from "node:url";
import path from "node:path";
import { main } from "./slipway.mjs";

const home = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
try {
  process.exitCode = await main(process.env, home);
} catch (err) {
  const text = String(err.message ?? err).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
  process.stdout.write(`::error title=slipway::${text}\n`);
  process.exitCode = 1;
}
