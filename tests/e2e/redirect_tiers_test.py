# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart in pods, captured by each tier of design.md 6: two tenants with the
same key and the same subject, and nothing crosses."""

import unittest

from podstory import App
import podstory

INTERCEPT = ("--intercept-listen", "127.0.0.1:15379,[::1]:15379")


class Tiers(podstory.Story):
    def test_a_loopback(self):
        """Nothing is configured in the application."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.sidecar()
            apps.append(App(pod, "", "nats://localhost:4222"))
        self.story(*apps, "", "$NATS")

    def test_b_environment(self):
        """An injector has set the variables, to ports that are not the usual ones."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.sidecar("--etcd-listen", "127.0.0.1:12379", "--nats-listen", "127.0.0.1:14222")
            apps.append(App(pod, "", "", {"ETCDCTL_ENDPOINTS": "127.0.0.1:12379", "NATS_SERVER": "nats://127.0.0.1:14222"}))
        self.story(*apps, "", "$NATS_SERVER")

    def test_c_host_names(self):
        """The stores' names are baked into the image; hostAliases lead them to the sidecar."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name, "127.0.0.1 localhost\n127.0.0.1 etcd.stores.svc nats.stores.svc\n")
            pod.sidecar()
            apps.append(App(pod, "http://etcd.stores.svc:2379", "nats://nats.stores.svc:4222"))
        self.story(*apps, "--endpoints $ETCD", "$NATS")

    def test_d_redirect(self):
        """The stores' addresses are baked in; one tenant dials IPv4, the other IPv6."""
        apps, sidecars = [], []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.redirect("--enforce")
            sidecars.append(pod.sidecar(*INTERCEPT))
            host = pod.store if name == "a" else f"[{pod.store6}]"
            apps.append(App(pod, f"http://{host}:2379", f"nats://{host}:4222"))
        self.story(*apps, "--endpoints $ETCD", "$NATS")
        for sidecar in sidecars:
            for plane in ("etcd", "nats"):
                self.assertGreater(sidecar.metric(f'bulkhead_intercepted_total{{plane="{plane}"}}'), 0)
            self.assertEqual(0, sidecar.metric("bulkhead_intercept_refused_total"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
