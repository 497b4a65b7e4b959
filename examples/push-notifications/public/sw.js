// Shows what is pushed, also when no tab is open.

self.addEventListener("push", (event) => {
  const { title, ...options } = event.data.json();
  event.waitUntil(self.registration.showNotification(title, options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const show = async () => {
    const [tab] = await self.clients.matchAll({ type: "window" });
    return tab ? tab.focus() : self.clients.openWindow("/");
  };
  event.waitUntil(show());
});
