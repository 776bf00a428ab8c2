// Dark and light theme: the system's, until the user chooses one.

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const button = /** @type {HTMLButtonElement} */ (document.querySelector(".theme"));

function isDark() {
  return root.dataset.theme === undefined ? systemIsDark.matches : root.dataset.theme === "dark";
}

/** @param {string | null} theme */
function use(theme) {
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  button.ariaPressed = String(isDark());
}

button.onclick = () => {
  const theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", theme);
  use(theme);
};
systemIsDark.onchange = () => use(null);
use(localStorage.getItem("theme"));
