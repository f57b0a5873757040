// Puts `FILE.br` and `FILE.gz` beside each file of the built page that gets much smaller by it; the service
// sends them as they are, so nothing is compressed while it serves.
//
//   node scripts/compress-page.mjs FOLDER
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const folder = process.argv[2];
if (folder === undefined) throw new Error("which folder?");

/** What is compressed already only grows: pictures and fonts. */
const ENDINGS = /\.(html|js|css|svg|json|txt|webmanifest)$/;
/** Below that the headers weigh as much as what is saved. */
const MIN_BYTES = 1024;

for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name);
  if (!entry.isFile() || !ENDINGS.test(entry.name)) continue;
  const bytes = readFileSync(file);
  if (bytes.length < MIN_BYTES) continue;
  const brotli = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: brotli }));
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
}
