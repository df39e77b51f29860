// The page works without this file; it adds what is live, quick or by keyboard. Each part fails alone.
import * as copy from "./copy.js";
import * as decide from "./decide.js";
import * as fragments from "./fragments.js";
import * as keyboard from "./keyboard.js";
import * as live from "./live.js";
import * as log from "./log.js";
import * as menu from "./menu.js";
import * as news from "./news.js";
import * as passkey from "./passkey.js";
import * as preview from "./preview.js";
import * as theme from "./theme.js";

for (const part of [theme, menu, copy, keyboard, decide, fragments, preview, passkey, log, news, live]) {
  try {
    part.start();
  } catch (problem) {
    console.error(problem);
  }
}
