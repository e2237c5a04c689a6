// Keeps the page true without a reload: the parts that changed are replaced, the one that has the focus is not.
const EVERY = 2000;
async function refresh() {
  const note = document.getElementById("live");
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = document.querySelector(`[data-part="${part.dataset.part}"]`);
      if (old && old.innerHTML !== part.innerHTML && !old.contains(document.activeElement)) old.innerHTML = part.innerHTML;
    }
    note.textContent = "updated every 2 s";
  } catch (error) {
    note.textContent = "not updated: no answer";
  }
  setTimeout(refresh, EVERY);
}
setTimeout(refresh, EVERY);
