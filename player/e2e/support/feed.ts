// A node whose output is decided by the test, byte by byte.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants, type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

export class Feed {
  readonly #path: string;
  #file: FileHandle | undefined;

  constructor(directory: string) {
    this.#path = join(directory, `feed-${randomUUID()}`);
    execFileSync("mkfifo", [this.#path]);
  }

  /** The shell line of the node; it ends when the feed does. Its terminal changes no byte. */
  get shell(): string {
    return `stty raw -echo 2> /dev/null; exec cat '${this.#path}'`;
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    // Opening waits for the node, in a thread of its own.
    this.#file ??= await open(this.#path, constants.O_WRONLY);
    let left = Buffer.from(bytes);
    while (left.length > 0) {
      const { bytesWritten } = await this.#file.write(left);
      left = left.subarray(bytesWritten);
    }
  }

  async end(): Promise<void> {
    this.#file ??= await open(this.#path, constants.O_WRONLY);
    await this.#file.close();
  }
}
