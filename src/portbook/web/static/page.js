// Changes the language as soon as one is chosen; without scripts a button does.
"use strict";

const menu = document.getElementById("language");
menu.form.querySelector("button").hidden = true;
menu.addEventListener("change", () => menu.form.requestSubmit());
