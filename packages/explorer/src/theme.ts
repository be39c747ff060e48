import { fill } from "./dom.ts";

const themes = ["auto", "light", "dark"] as const;

/** A button that goes through the themes. Not remembered: the page keeps nothing. */
export function mountTheme(button: HTMLElement): void {
  let at = 0;
  const apply = () => {
    const theme = themes[at % themes.length] as string;
    document.documentElement.dataset.theme = theme;
    fill(button, `Theme: ${theme}`);
  };
  button.addEventListener("click", () => {
    at++;
    apply();
  });
  apply();
}
