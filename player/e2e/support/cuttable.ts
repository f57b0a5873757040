// A TCP proxy before the service that can be cut.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class CuttableProxy {
  #server: Server;
  #sockets = new Set<Socket>();
  #refuses = false;

  private constructor(port: number) {
    this.#server = createServer((client) => {
      if (this.#refuses) {
        client.resetAndDestroy();
        return;
      }
      const service = connect(port, "127.0.0.1");
      for (const [from, to] of [
        [client, service],
        [service, client],
      ] as const) {
        this.#sockets.add(from);
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.on("error", () => to.destroy());
        from.pipe(to);
      }
    });
  }

  static async before(port: number): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(port);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends every connection in the middle of whatever it carries. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Cuts, and takes no new connection until `join`. */
  part(): void {
    this.#refuses = true;
    this.cut();
  }

  join(): void {
    this.#refuses = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
