// The page works without this file; it adds what is live, quick or by keyboard.
import * as theme from "./theme.js";

theme.start();
