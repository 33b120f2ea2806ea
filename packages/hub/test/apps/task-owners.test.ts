import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { TaskOwners } from "../../src/apps/task-owners.js";

const begin = (owners: TaskOwners, principal: string, taskId: string) =>
  owners.shown("tools/call", { task: { taskId } }, principal);
const ownedBy = (owners: TaskOwners, principal: string, taskId: string) =>
  owners.concerns({ taskId }, principal) && !owners.isOthers({ taskId }, principal);
const refused = (owners: TaskOwners, principal: string, taskId: string) =>
  expectCode(() => owners.assertOwn("tasks/get", { taskId }, principal), "REQUEST_INVALID");

describe("tasks of an app", () => {
  it("are their operator's, in results, lists and whatever is said of them", async () => {
    const owners = new TaskOwners();
    begin(owners, "ann", "t1");
    begin(owners, "bob", "t2");
    owners.assertOwn("tasks/get", { taskId: "t1" }, "ann");
    await refused(owners, "bob", "t1");
    const tasks = [{ taskId: "t1" }, { taskId: "t2" }, { taskId: "t3" }];
    expect(owners.shown("tasks/list", { tasks }, "ann")).toEqual({ tasks: [{ taskId: "t1" }] });
    expect(ownedBy(owners, "ann", "t1")).toBe(true);
    expect(owners.isOthers({ taskId: "t1" }, "bob")).toBe(true);
  });

  it("of one operator push out that operator's own, however many", async () => {
    const owners = new TaskOwners();
    begin(owners, "ann", "kept");
    for (let i = 0; i < 10_000; i++) begin(owners, "mallory", `m${i}`);
    await refused(owners, "mallory", "kept");
    expect(ownedBy(owners, "mallory", "m9999")).toBe(true);
    expect(owners.concerns({ taskId: "m0" }, "mallory")).toBe(false);
  });

  it("of very many operators push out those of whoever has most", async () => {
    const owners = new TaskOwners();
    begin(owners, "ann", "kept");
    for (let i = 0; i < 600; i++) begin(owners, "mallory", `m${i}`);
    for (let i = 0; i < 4000; i++) begin(owners, `op${i}`, `o${i}`);
    await refused(owners, "bob", "kept");
    expect(owners.concerns({ taskId: "m500" }, "mallory")).toBe(false);
    await refused(owners, "bob", "o3999");
  });
});
