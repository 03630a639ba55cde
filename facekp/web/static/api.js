// Requests to the server that this page came from; its address holds the token.

/** An answer of the server that is an error. `status` is 0 if there was no answer. */
export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Sends a request and returns its JSON; throws a RequestError. */
export async function request(path, method = "GET", body = undefined) {
  const options = { method, cache: "no-store" };
  if (body instanceof Blob) {
    options.body = body;
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
    options.keepalive = options.body.length < 60000; // goes on when the page is closed
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new RequestError(0, "the server does not answer: if it has ended, start the command again");
  }
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw new RequestError(response.status, answer.error);
  return answer;
}

/** Name of this page among the open ones. */
export const page = crypto.randomUUID();

/** Lets the server know when this page is closed. */
export function announceClosing() {
  addEventListener("pagehide", () => navigator.sendBeacon(`closed/${page}`));
}
