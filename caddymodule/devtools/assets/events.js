// What becomes of events, on the page Webhooks: sending a test, the events that could not be delivered, and the recent deliveries.

import { call, get, sentence } from "./api.js";
import { $, badge, h, icon, number, show, when } from "./dom.js";
import { makeList } from "./list.js";
import { busy, empty, emptyLine, toast } from "./ui.js";

const acknowledging = [200, 201, 202, 204];
const testPatience = 60_000; // ms; an endpoint may take 30 s to answer

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

// hopeless are the reasons that lie in the event itself: another attempt would end as the first did, without a request.
const hopeless = ["invalid_payload", "invalid_event", "unknown_event", "payload_too_large"];
const worthwhile = (d) => !hopeless.includes(d.reason);

const refusals = {
  webhook_inactive: "Webhook delivery is inactive. Enable it and save, then redeliver.",
  not_found: "This event is no longer here. It may have been redelivered already.",
};

const eventCell = (item) => [h("span", { class: "name" }, item.event), h("code", { class: "sub", translate: false }, item.id)];

// skipped says that a line of the delivery log is of an event that was skipped, not of an attempt.
export const skipped = (d) => d.attempt === 0 && (d.error ?? "").startsWith("skipped:");

const attemptCell = (d) => {
  if (d.attempt > 0) return number.format(d.attempt);
  return h("span", { class: "badge off" }, skipped(d) ? "Skipped" : "Test");
};

const statusCell = (d) => {
  if (skipped(d)) return badge("off", "Not sent");
  if (d.status === null) return badge("bad", "No answer");
  return badge(acknowledging.includes(d.status) ? "good" : "bad", String(d.status));
};

const deliveryColumns = [
  { title: "Time", cell: (d) => (d.at ? when(d.at, { seconds: true }) : "") },
  { title: "Event", class: "main-cell", cell: eventCell },
  { title: "Attempt", class: "number", cell: attemptCell },
  { title: "Status", cell: statusCell },
  { title: "Duration", class: "number", cell: (d) => duration(d.duration_ms) },
  { title: "Error", class: "words", cell: (d) => (d.error ? sentence(d.error) : h("span", { class: "quiet" }, "None")) },
];

const deadColumns = [
  { title: "Given up", from: (d) => d.dead_at, cell: (d) => (d.dead_at ? when(d.dead_at, { seconds: true }) : "") },
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
      if (!worthwhile(d)) return "";
      const button = h("button", { type: "button", class: "button", "aria-description": `${d.event} ${d.id}` }, "Redeliver");
      button.addEventListener("click", () => busy(button, () => redeliver(async () => call("POST", "dead-letters/replay", { ids: [d.id] }))));
      return button;
    },
  },
];

// why says more of the reason. What is said of a hopeless event speaks of settings that are not the reader's.
function why(d) {
  if (!worthwhile(d)) return "It was not sent and cannot be redelivered. If you need it, write to support@tenzo.ai and name this ID.";
  if (d.last_error) return sentence(d.last_error);
  return d.last_status === null ? "" : `Your endpoint answered ${d.last_status}.`;
}

let deliveries;
let dead;

export async function refreshEvents() {
  await Promise.all([deliveries.refresh(), dead.refresh()]);
}

// redeliver says how a replay went.
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

// replayAll goes through all dead events, and names those that may work: “all” would count the others as queued, and have them back at once.
async function replayAll() {
  let replayed = 0;
  let next = null;
  do {
    const page = await get(`dead-letters?limit=1000${next ? `&cursor=${encodeURIComponent(next)}` : ""}`);
    const ids = page.items.filter(worthwhile).map((d) => d.id);
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
    const result = await call("POST", "webhook/test", { event: $("event").value }, { timeout: testPatience });
    box.replaceChildren(outcome(result));
    await deliveries.refresh();
  } catch (problem) {
    const text = problem.code === "webhook_not_found" ? "Save your webhook configuration first, then send a test event." : problem.message;
    box.replaceChildren(note("bad", "The test event was not sent", text));
  }
}

function outcome(result) {
  const took = duration(result.duration_ms);
  if (result.acknowledged) return note("good", "Acknowledged", `Your endpoint answered ${result.status} in ${took}.`);
  if (result.status === null) return note("bad", "Not acknowledged", `${sentence(result.error ?? "no answer")} It took ${took}.`);
  // Its words begin with the same status where that is all there is to say.
  const more = result.error && !result.error.startsWith(`answered ${result.status}`) ? sentence(result.error) : "Only 200, 201, 202 and 204 acknowledge.";
  return note("bad", "Not acknowledged", `Your endpoint answered ${result.status} in ${took}. ${more}`);
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
    nothing: emptyLine("check", "Nothing was left undelivered."),
    first: 20,
    bars: 1,
    onItems: (items, more) => show($("redeliver-all"), more || items.filter(worthwhile).length > 1),
  });
  deliveries = makeList({
    box: $("deliveries"),
    path: "webhook/deliveries",
    caption: "Recent attempts to deliver, newest first",
    columns: deliveryColumns,
    id: (d) => `${d.id} ${d.attempt} ${d.at}`,
    nothing: empty("send", "No deliveries yet", "Each attempt to deliver an event to your endpoint is listed here for 30 days."),
    first: 20,
  });
  const all = $("redeliver-all");
  all.addEventListener("click", () => busy(all, () => redeliver(replayAll)));
  $("test-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy($("test-send"), test);
  });
}
