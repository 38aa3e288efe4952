// This file is the lists of the page Webhooks: undelivered events and recent deliveries; and the
// test.

import { call, get, sentence } from "./api.js";
import { $, badge, h, icon, number, show, when } from "./dom.js";
import { makeList } from "./list.js";
import { busy, empty, emptyLine } from "./states.js";
import { toast } from "./toast.js";
import { inactive } from "./webhook.js";

const acknowledging = [200, 201, 202, 204];
const testTimeout = 60_000; // ms; an endpoint may take 30 s to answer

const duration = (ms) => (ms < 1 ? "<1 ms" : ms < 1000 ? `${number.format(ms)} ms` : `${number.format(Math.round(ms / 100) / 10)} s`);

const reasons = {
  retries_exhausted: "No attempt was acknowledged",
  blocked: "The URL’s address is not allowed",
  crashed: "Given up after repeated failures on our side",
  invalid_payload: "The event’s content was invalid",
  invalid_event: "The event was incomplete",
  unknown_event: "The event type is unknown",
  payload_too_large: "The event was too large",
};

// permanent are the reasons that lie in the event itself: another attempt would fail like the
// first, without a request.
const permanent = ["invalid_payload", "invalid_event", "unknown_event", "payload_too_large"];
const retryable = (d) => !permanent.includes(d.reason);

const refusals = {
  webhook_inactive: "Webhook delivery is inactive. Enable it and save, then redeliver.",
  not_found: "This event is no longer here. It may have been redelivered already.",
};

// A skipped event is in the delivery log as a line without an attempt, whose error begins so.
const skipMark = /^skipped:\s*/;
const skipped = (d) => d.attempt === 0 && d.status === null && skipMark.test(d.error ?? "");

const eventCell = (item) => [h("span", { class: "name" }, item.event), h("code", { class: "sub", translate: false }, item.id)];

const attemptCell = (d) => {
  if (skipped(d)) return "";
  return d.attempt > 0 ? number.format(d.attempt) : h("span", { class: "badge off" }, "Test");
};

const statusCell = (d) => {
  if (skipped(d)) return badge("warn", "Skipped");
  if (d.status === null) return badge("bad", "No answer");
  return badge(acknowledging.includes(d.status) ? "good" : "bad", String(d.status));
};

const deliveryColumns = [
  { title: "Time", zoned: true, cell: (d) => (d.at ? when(d.at, { seconds: true }) : "") },
  { title: "Event", class: "main-cell", cell: eventCell },
  { title: "Attempt", class: "number", cell: attemptCell },
  { title: "Status", cell: statusCell },
  { title: "Duration", class: "number", cell: (d) => (skipped(d) ? "" : duration(d.duration_ms)) },
  { title: "Error", class: "words", cell: (d) => (d.error ? sentence(d.error.replace(skipMark, "")) : h("span", { class: "quiet" }, "None")) },
];

const deadColumns = [
  { title: "Given up", zoned: true, from: (d) => d.dead_at, cell: (d) => (d.dead_at ? when(d.dead_at, { seconds: true }) : "") },
  { title: "Event", class: "main-cell", from: (d) => [d.event, d.id], cell: eventCell },
  { title: "Attempts", class: "number", from: (d) => d.attempts, cell: (d) => number.format(d.attempts) },
  {
    title: "Reason",
    class: "words",
    cell: (d) => [h("span", { class: "name" }, reasons[d.reason] ?? "It could not be delivered"), h("span", { class: "sub" }, why(d))],
  },
  {
    title: "Actions",
    unseen: true,
    class: "act",
    from: (d) => [d.id, d.reason],
    cell: (d) => {
      if (!retryable(d)) return "";
      const button = h("button", { type: "button", class: "button", "aria-description": `${d.event} ${d.id}` }, "Redeliver");
      button.addEventListener("click", () => busy(button, () => redeliver(async () => call("POST", "dead-letters/replay", { ids: [d.id] }))));
      return button;
    },
  },
];

// why explains the reason. The API's words on a permanent reason name settings of the operator.
function why(d) {
  if (!retryable(d)) return "It was not sent and cannot be redelivered. If you need it, write to support@tenzo.ai and name this ID.";
  if (d.last_error) return sentence(d.last_error);
  return d.last_status === null ? "" : `Your endpoint answered ${d.last_status}.`;
}

let deliveries;
let dead;
let log = { items: [], more: false }; // what the list of deliveries shows

export async function refreshEvents() {
  await Promise.all([deliveries.refresh(), dead.refresh()]);
}

// redeliver runs a replay and announces its result.
async function redeliver(replay) {
  try {
    const { replayed, refused } = await replay();
    if (replayed > 0) {
      toast(replayed === 1 ? "Queued for redelivery." : `${number.format(replayed)} events queued for redelivery.`);
      $("dead-title").focus({ preventScroll: true });
    } else if (refused.length) {
      toast(refusals[refused[0].reason] ?? "This could not be redelivered.", "bad");
    } else {
      toast("There was nothing that can be redelivered.");
    }
  } catch (problem) {
    toast(problem.message, "bad");
  }
  await refreshEvents();
}

// replayAll replays all dead letters that may be delivered, by their ids: “all” would count the
// others as queued, and they would be back at once.
async function replayAll() {
  let replayed = 0;
  let next = null;
  do {
    const page = await get(`dead-letters?limit=1000${next ? `&cursor=${encodeURIComponent(next)}` : ""}`);
    const ids = page.items.filter(retryable).map((d) => d.id);
    next = page.next_cursor;
    if (!ids.length) continue;
    const done = await call("POST", "dead-letters/replay", { ids });
    replayed += done.replayed;
    if (!done.replayed) return { replayed, refused: done.refused };
  } while (next);
  return { replayed, refused: [] };
}

async function test() {
  const box = $("test-result");
  box.replaceChildren(h("p", { class: "hint" }, "Sending…"));
  try {
    const result = await call("POST", "webhook/test", { event: $("event").value }, { timeout: testTimeout });
    box.replaceChildren(outcome(result));
    await deliveries.refresh();
  } catch (problem) {
    const text = problem.code === "webhook_not_found" ? "Save your webhook configuration first, then send a test event." : problem.message;
    box.replaceChildren(note("bad", "The test event was not sent", text));
  }
}

function outcome(result) {
  const took = duration(result.duration_ms);
  if (result.acknowledged && inactive()) {
    return note("warn", "Acknowledged, but delivery is inactive", `Your endpoint answered ${result.status} in ${took}. Events are skipped until you enable webhook delivery and save.`);
  }
  if (result.acknowledged) return note("good", "Acknowledged", `Your endpoint answered ${result.status} in ${took}.`);
  if (result.status === null) return note("bad", "Not acknowledged", `${sentence(result.error ?? "no answer")} It took ${took}.`);
  // The error begins with the same status if there is nothing else to say.
  const more = result.error && !result.error.startsWith(`answered ${result.status}`) ? sentence(result.error) : "Only 200, 201, 202 and 204 acknowledge.";
  return note("bad", "Not acknowledged", `Your endpoint answered ${result.status} in ${took}. ${more}`);
}

// warnInactive shows a banner while webhook delivery is inactive: how many of the newest lines of
// the delivery log, up to the last attempt to deliver, are skipped events.
export function warnInactive() {
  const { items, more } = log;
  const end = items.findIndex((d) => d.attempt > 0);
  const lost = items.slice(0, end < 0 ? items.length : end).filter(skipped);
  show($("inactive"), inactive());
  if (!inactive()) return;
  const n = lost.length;
  const count = `${number.format(n)}${end < 0 && more ? " or more" : ""} ${n === 1 ? "event" : "events"}`;
  const since = n ? [` ${count} skipped since `, when(lost[n - 1].at), "; skipped events cannot be redelivered."] : [" Events are skipped."];
  const text = JSON.stringify([n, more, lost[n - 1]?.at]);
  if ($("inactive").dataset.shown === text) return; // keep focus and hint
  $("inactive").dataset.shown = text;
  $("inactive-text").replaceChildren(h("strong", {}, "Webhook delivery is inactive."), ...since, " Enable it and save to receive events.");
}

function note(kind, title, text) {
  return h("div", { class: `note note-${kind}` }, icon(kind === "good" ? "check" : "warn"), h("div", {}, h("p", {}, h("strong", {}, title)), h("p", {}, text)));
}

export function startEvents() {
  dead = makeList({
    box: $("dead"),
    path: "dead-letters",
    caption: "Events that could not be delivered, newest first",
    columns: deadColumns,
    id: (d) => `${d.id} ${d.dead_at}`,
    nothing: emptyLine("check", "No undelivered events."),
    first: 20,
    bars: 1,
    onItems: (items, more) => show($("redeliver-all"), more || items.filter(retryable).length > 1),
  });
  deliveries = makeList({
    box: $("deliveries"),
    path: "webhook/deliveries",
    caption: "Recent attempts to deliver, newest first",
    columns: deliveryColumns,
    id: (d) => `${d.id} ${d.attempt} ${d.at}`,
    nothing: empty("send", "No deliveries yet", "Each attempt to deliver an event to your endpoint is listed here for 30 days."),
    first: 20,
    onItems: (items, more) => {
      log = { items, more };
      warnInactive();
    },
  });
  const all = $("redeliver-all");
  all.addEventListener("click", () => busy(all, () => redeliver(replayAll)));
  $("test-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy($("test-send"), test);
  });
}
