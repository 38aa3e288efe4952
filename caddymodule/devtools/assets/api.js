// The HTTP API, at api/… beside the page.

// Problem is an error as the API words it, or as this page does where no such answer came.
export class Problem extends Error {
  constructor(status, { code = "", detail = "", field = "" } = {}) {
    super(detail && worded(status) ? detail : wordsFor(status));
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

// worded says whether the API's own words are for the reader. What is wrong with the server is the operator's business, and who the caller
// is was decided before this page.
const worded = (status) => status < 500 && status !== 401 && status !== 403;

function wordsFor(status) {
  if (status === 0) return "The server could not be reached. Check your connection and try again.";
  if (status === 401 || status === 403) return "You are not signed in any more, or may not do this. Reload the page and sign in again.";
  if (status >= 500) return "Something went wrong on the server. Try again shortly.";
  return "This did not work.";
}

// sentence makes of the API's words, which begin in lower case, a sentence.
export function sentence(text) {
  const t = text.trim();
  if (!t) return "";
  const first = /^[a-z][a-z]*[ ,:]/.test(t) ? t[0].toUpperCase() + t.slice(1) : t;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

const patience = 20_000; // ms; a test delivery may take the endpoint's whole time-out

export async function call(method, path, body, { timeout = patience } = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method,
      cache: "no-store",
      redirect: "manual", // to a page to sign in, most likely
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeout),
    });
  } catch {
    throw new Problem(0);
  }
  if (answer.type === "opaqueredirect") throw new Problem(401);
  if (answer.status === 204) return null;
  const type = answer.headers.get("Content-Type") || "";
  let json = null;
  if (/^application\/(problem\+)?json\b/.test(type)) {
    try {
      json = await answer.json();
    } catch {
      throw new Problem(answer.ok ? 0 : answer.status);
    }
  }
  if (!answer.ok || json === null) throw new Problem(answer.ok ? 500 : answer.status, json ? { ...json, detail: sentence(json.detail || "") } : {});
  return json;
}

export const get = (path) => call("GET", path);
