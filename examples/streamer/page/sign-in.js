// The sign-in form, and the source of tokens. Tokens are kept in memory only.

import { find, Refused } from "./view.js";

const SUGGESTIONS = [
  "Ada",
  "Alan",
  "Barbara",
  "Edsger",
  "Grace",
  "Hedy",
  "Ken",
  "Linus",
  "Margaret",
  "Radia",
];

/** Returns a token: called at sign-in, and after every failed connect. */
/** @typedef {() => Promise<string>} GetToken */

const form = /** @type {HTMLFormElement} */ (find("door-form"));
const name = /** @type {HTMLInputElement} */ (find("name"));
const tenant = /** @type {HTMLInputElement} */ (find("tenant"));
const token = /** @type {HTMLInputElement} */ (find("token"));
let isPasting = false;

/**
 * Shows the sign-in form, and calls `signIn` with the source of tokens.
 * @param {(getToken: GetToken) => void} signIn
 * @param {string} [problem] why the server refused who came through before
 */
export function showSignIn(signIn, problem = takeProblem()) {
  const before = sessionStorage.getItem("name");
  sessionStorage.removeItem("name");
  find("door").hidden = false;
  name.value ||= before ?? SUGGESTIONS[Math.floor(Math.random() * SUGGESTIONS.length)] ?? "";
  tenant.value ||= sessionStorage.getItem("tenant") ?? "demo";
  if (problem !== "") isPasting = before === null;
  show(problem);
  form.onsubmit = async (event) => {
    event.preventDefault();
    show();
    const getToken = await requestFirstToken();
    if (getToken === undefined) return;
    find("door").hidden = true;
    signIn(getToken);
  };
}

/** Has the door opened with this problem after the page is loaded again. @param {string} problem */
export function keepProblem(problem) {
  sessionStorage.setItem("problem", problem);
}

function takeProblem() {
  const problem = sessionStorage.getItem("problem") ?? "";
  sessionStorage.removeItem("problem");
  return problem;
}

/** Restores the sign-in of this tab after a reload. @returns {GetToken | undefined} */
export function restoreSignIn() {
  if (sessionStorage.getItem("problem") !== null) return undefined;
  const sub = sessionStorage.getItem("name");
  const team = sessionStorage.getItem("tenant");
  return sub && team ? () => mint(sub, team) : undefined;
}

/** @returns {Promise<GetToken | undefined>} `undefined` if there is no token; the form shows the reason */
async function requestFirstToken() {
  if (isPasting) {
    const pasted = token.value.trim();
    token.value = "";
    return pasted === "" ? undefined : pastedTokenSource(pasted);
  }
  const sub = name.value.trim();
  const team = tenant.value.trim();
  /** @type {string | undefined} */ let first;
  try {
    first = await mint(sub, team);
  } catch (error) {
    show(error instanceof Refused ? error.message : "The server does not answer. Is it running?");
    return undefined;
  }
  sessionStorage.setItem("name", sub);
  sessionStorage.setItem("tenant", team);
  return async () => {
    const ready = first ?? (await mint(sub, team));
    first = undefined;
    return ready;
  };
}

/**
 * Returns a pasted token, which the page cannot renew. The server checks it first, by its own clock. When a token is
 * requested again and the pasted one has expired, a retry is useless.
 * @param {string} pasted @returns {GetToken}
 */
function pastedTokenSource(pasted) {
  let wasAsked = false;
  return async () => {
    const { exp = Number.POSITIVE_INFINITY } = claimsOf(pasted);
    if (wasAsked && exp * 1_000 <= Date.now()) throw new Refused("The token has expired: give another one.");
    wasAsked = true;
    return pasted;
  };
}

/**
 * Reads a token's claims without verifying them; only the server can.
 * @param {string} token @returns {{ readonly sub?: string, readonly tenant_id?: string, readonly exp?: number }}
 */
export function claimsOf(token) {
  try {
    const payload = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(payload, (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

/** @param {string} sub @param {string} team @returns {Promise<string>} */
async function mint(sub, team) {
  const response = await fetch("/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: sub, tenant: team }),
  });
  if (response.ok) return (await response.json()).token;
  if (response.status >= 500 && response.status !== 501)
    throw new Error(`/token answered ${response.status}`);
  const answer = await response.json().catch(() => ({}));
  throw new Refused(answer.message ?? "This server mints no tokens: use one of your own.");
}

function show(problem = "") {
  find("door-problem").textContent = problem;
  find("door-problem").hidden = problem === "";
  find("door-minted").hidden = isPasting;
  find("door-pasted").hidden = !isPasting;
  name.required = tenant.required = !isPasting;
  token.required = isPasting;
  find("door-switch").textContent = isPasting ? "Use a name" : "Use a token of your own";
  const first = isPasting ? token : name;
  first.focus();
  first.select();
}

find("door-switch").onclick = () => {
  isPasting = !isPasting;
  show();
};
