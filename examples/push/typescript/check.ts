// Address checks each order: a function of Google's functions-framework, that says its own event at K_SINK. Nothing in it
// knows of OrderFlow.
//
// An event may come more than once, always under the same id; so what it says of it has the same id each time, and is
// published once. The journal has a line for each time.
import { appendFileSync } from "node:fs";
import { cloudEvent } from "@google-cloud/functions-framework";
import { CloudEvent, emitterFor, httpTransport } from "cloudevents";

interface Order {
  orderId: string;
  amount: number;
}

const emit = emitterFor(httpTransport(process.env.K_SINK ?? ""));
const journal = process.env.JOURNAL ?? "/dev/null";

cloudEvent<Order>("check", async (event) => {
  const order = event.data;
  if (order === undefined) {
    throw new Error("no order");
  }
  appendFileSync(journal, `${order.orderId} ${event.id}\n`);
  const passed = order.amount < 100_000;
  const checked = new CloudEvent({
    id: `address-${event.id}`,
    source: "/address",
    type: "ORDER_CHECKED",
    partitionkey: order.orderId,
    data: { orderId: order.orderId, check: "address", passed },
  });
  const answer = (await emit(checked)) as { body?: string };
  void answer;
});
