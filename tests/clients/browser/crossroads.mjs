/** One address before several replicas, as a balancer is: which replica serves, and whether any can be reached, is up to the test. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @typedef {{url: string, pid: number}} Replica */

export class Crossroads {
  /** Those that serve, the first one first. @type {Replica[]} */
  replicas;
  #open = new Set();
  #cut = false;

  /** @param {Replica[]} replicas */
  constructor(replicas) {
    this.replicas = replicas;
    this.server = createServer((client) => this.#pass(client, [...this.replicas]));
  }

  /** @param {Replica[]} replicas */
  static async before(replicas) {
    const crossroads = new Crossroads(replicas);
    crossroads.server.listen(0, '127.0.0.1');
    await once(crossroads.server, 'listening');
    return crossroads;
  }

  get origin() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** One that is gone is passed over, like a balancer does once it knows. */
  #pass(client, [replica, ...others]) {
    client.on('error', () => client.destroy());
    if (this.#cut || !replica) return client.destroy();
    const { hostname, port } = new URL(replica.url);
    const service = connect(Number(port), hostname);
    let reached = false;
    service.on('connect', () => {
      reached = true;
      this.#open.add(client);
      client.pipe(service).pipe(client);
    });
    service.on('error', () => service.destroy());
    service.on('close', () => (reached || client.destroyed ? client.destroy() : this.#pass(client, others)));
    client.on('close', () => {
      this.#open.delete(client);
      service.destroy();
    });
  }

  /** The network is gone. */
  cut() {
    this.#cut = true;
    for (const client of this.#open) client.destroy();
  }

  restore() {
    this.#cut = false;
  }

  /** The first one is killed. */
  kill() {
    process.kill(this.replicas[0].pid, 'SIGKILL');
    this.replicas.shift();
  }

  /** The first one is told to go; whoever comes now is sent to another. */
  drain() {
    process.kill(this.replicas[0].pid, 'SIGTERM');
    this.replicas.shift();
  }

  close() {
    this.cut();
    this.server.close();
  }
}
