// What every test has: a service, and a page that must not complain.
import { test as base, expect, type Page } from "@playwright/test";
import { Service } from "./service.ts";

interface PerTest {
  /** Fails the test if the page throws, or does what its policy forbids. */
  noComplaints: undefined;
  /** What the page may complain of, because the test makes it. */
  expectedComplaint: RegExp | undefined;
  /** A service for this test alone, which it may kill. */
  ownService: Service;
}

interface PerWorker {
  /** Shared by the tests of a worker: they only add runs. */
  service: Service;
}

function watch(page: Page, complaints: string[]): void {
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message));
  page.on("console", (message) => {
    // What tests cut, purge or refuse is told by the browser itself, as a failed resource.
    const isOfTheNetwork = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isOfTheNetwork) complaints.push(message.text());
  });
}

export const test = base.extend<PerTest, PerWorker>({
  expectedComplaint: [undefined, { option: true }],
  noComplaints: [
    async ({ context, expectedComplaint }, use) => {
      const complaints: string[] = [];
      context.on("page", (page) => watch(page, complaints));
      await use(undefined);
      const unexpected = complaints.filter((complaint) => !expectedComplaint?.test(complaint));
      expect(unexpected, "what the page complained of").toEqual([]);
    },
    { auto: true },
  ],
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads what a fixture needs from its pattern.
  ownService: async ({}, use) => {
    const service = await Service.start();
    await use(service);
    await service.stop();
  },
  service: [
    // biome-ignore lint/correctness/noEmptyPattern: as above.
    async ({}, use) => {
      const service = await Service.start();
      await use(service);
      await service.stop();
    },
    { scope: "worker" },
  ],
});

export { expect };
