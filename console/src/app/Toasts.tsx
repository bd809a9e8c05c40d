/** Short words at the corner. What shows them comes with the first. */
import { notificationsStore, useNotifications } from "@mantine/notifications";
import { lazy, Suspense, useState } from "react";

const Notifications = lazy(() => import("./ToastArea"));

export function Toasts() {
  const { notifications } = useNotifications(notificationsStore);
  const [wanted, setWanted] = useState(false);
  if (notifications.length > 0 && !wanted) setWanted(true);
  return <Suspense fallback={null}>{wanted && <Notifications position="bottom-right" />}</Suspense>;
}
