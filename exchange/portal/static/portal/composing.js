// Shows what a buyer could ask as a version is composed: the page itself is asked for again, as its button does
// without this script, and the parts that follow from the choices are put in place.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("button[name=_show]");
  if (!button) return;
  const form = button.form;
  // What is chosen in these decides what there is to choose in others.
  const deciding = new Set(["authorization", "merchant", "resource"]);
  const chosen = ["id_resource", "id_dimensions", "id_bins", "id_measures", "id_profile"];
  const pause = 250;
  let timer = 0, latest = 0;

  const put = (page, id) => {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
  };

  const show = async (all) => {
    const mine = ++latest;
    const body = new FormData(form);
    body.append("_show", "1");
    const answer = await fetch(location.href, { method: "POST", body, credentials: "same-origin" });
    if (!answer.ok || mine !== latest) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (all) chosen.forEach((id) => put(page, id));
    put(page, "composing-preview");
  };

  form.addEventListener("input", (event) => {
    const all = deciding.has(event.target.name);
    clearTimeout(timer);
    timer = setTimeout(() => show(all), all ? 0 : pause);
  });
  button.hidden = true;
});
