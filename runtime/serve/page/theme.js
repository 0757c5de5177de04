// Dark or light: the system's, unless the user chose. Runs before anything is painted, so that nothing flashes.
{
  const KEY = "accel-theme";
  const CHOICES = ["system", "light", "dark"];

  const chosen = () => {
    const kept = localStorage.getItem(KEY);
    return CHOICES.includes(kept) ? kept : "system";
  };

  const apply = () => {
    const theme = chosen();
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    document.getElementById("theme")?.setAttribute("aria-label", `Theme: ${theme}`);
    document.getElementById("theme")?.setAttribute("title", `Theme: ${theme}`);
  };

  const next = () => {
    localStorage.setItem(KEY, CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length]);
    apply();
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", next);
  });
}
