/* SPDX-License-Identifier: Apache-2.0 */
/* inject_test - the rules of injection, one row a rule. */
#include "inject_rows.h"

static const struct row rows[] = {
    /* 7.1 who gets it */
    {"nothing asks", .pod = POD("", "", ""), SK},
    {"the label asks", .pod = POD(WANT, "", ""), IN, .has = {"--namespace=default", "--view=own"}},
    {"the label says no",
     .pod = POD(
         "\"labels\":{\"bulkhead.dev/inject\":\"false\",\"nvidia.com/dynamo-namespace\":\"a\"}", "",
         ""),
     SK},
    {"the label is neither", .pod = POD("\"labels\":{\"bulkhead.dev/inject\":\"yes\"}", "", ""),
     NO(ANNOTATION), .has = {"\"yes\"", "\"true\""}},
    {"inject is no annotation",
     .pod = POD("\"annotations\":{\"bulkhead.dev/inject\":\"true\"}", "", ""), NO(ANNOTATION),
     .has = {"is a label"}},
    {"its Kubernetes namespace was chosen", .pod = POD("", "", ""), IN, .selected = true},
    {"Dynamo's label", .pod = POD("\"labels\":{\"nvidia.com/dynamo-namespace\":\"k-x\"}", "", ""),
     IN, .has = {"--namespace=k-x"}},
    {"Dynamo's other label",
     .pod = POD("\"labels\":{\"nvidia.com/dynamo-graph-deployment-name\":\"x\"}", "", ""), IN},
    {"Dynamo's variable", .pod = POD("", "", ENV("DYN_NAMESPACE", "a")), IN,
     .has = {"--namespace=a"}},
    {"bulkhead's variable", .pod = POD("", "", ENV("DYNAMO_NAMESPACE", "a/b")), IN,
     .has = {"--namespace=a/b"}},
    {"automatic is off", .config = "{" MINIMAL ",\"automatic\":false}",
     .pod = POD("", "", ENV("DYN_NAMESPACE", "a")), SK},
    {"an annotation that there is not", .pod = POD(NOTE("namspace", "a"), "", ""), NO(ANNOTATION),
     .has = {"namspace", "nearest is bulkhead.dev/namespace"}},
    {"an annotation as a label",
     .pod = POD("\"labels\":{\"bulkhead.dev/inject\":\"true\",\"bulkhead.dev/namespace\":\"a\"}",
                "", ""),
     NO(ANNOTATION), .has = {"annotation"}},
    {"a wrong value", .pod = POD(NOTE("tier", "all"), "", ""), NO(ANNOTATION),
     .has = {"\"all\"", "redirect"}},
    {"a wrong quantity", .pod = POD(NOTE("cpu-limit", "lots"), "", ""), NO(ANNOTATION)},
    {"quantities", .pod = POD(NOTE("memory-limit", "1Gi"), "", ""), IN,
     .has = {"\"memory\":\"1Gi\""}},
    {"an annotation that is a number",
     .pod = POD(WANT ",\"annotations\":{\"bulkhead.dev/namespace\":7}", "", ""), NO(SHAPE),
     .has = {"quotes"}},
    /* 7.2 which namespace */
    {"the annotation", .pod = POD(NOTE("namespace", "default/m/v"), "", ""), IN,
     .has = {"--namespace=m/v", "\"DYNAMO_NAMESPACE\",\"value\":\"m/v\""}},
    {"a namespace that is none", .pod = POD(NOTE("namespace", "a//b"), "", ""), NO(CLAIM),
     .has = {"a//b", "byte"}},
    {"ours beats Dynamo's", .pod = POD(NOTE("namespace", "a"), "", ENV("DYN_NAMESPACE", "b")), IN,
     .has = {"--namespace=a"}},
    {"two of ours disagree", .pod = POD(NOTE("namespace", "a"), "", ENV("DYNAMO_NAMESPACE", "b")),
     NO(CLAIM), .has = {"agree"}},
    {"two of ours agree",
     .pod = POD(NOTE("namespace", "a/b"), "", ENV("DYNAMO_NAMESPACE", "default/a/b")), IN,
     .has = {"--namespace=a/b"}},
    {"two of Dynamo's disagree",
     .pod = POD("\"labels\":{\"nvidia.com/dynamo-namespace\":\"a\"}", "",
                ENV("DYN_NAMESPACE", "b")),
     NO(CLAIM)},
    {"an init container disagrees",
     .pod = POD(NOTE("namespace", "a"),
                "\"initContainers\":[{\"name\":\"i\",\"env\":[{\"name\":\"DYNAMO_NAMESPACE\","
                "\"value\":\"c\"}]}],",
                ""),
     NO(CLAIM), .has = {"container i"}},
    {"dynamo is no claim",
     .pod = POD("\"labels\":{\"nvidia.com/dynamo-namespace\":\"dynamo\"}", "",
                ENV("DYN_NAMESPACE", "dynamo")),
     IN, .has = {"--namespace=default"}},
    {"a claim that cannot be read",
     .pod = POD("", "",
                ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"valueFrom\":{\"configMapKeyRef\":{"
                "\"name\":\"c\",\"key\":\"k\"}}}]"),
     NO(CLAIM), .has = {"annotation"}},
    {"$(…) cannot be read", .pod = POD("", "", ENV("DYNAMO_NAMESPACE", "$(A)-b")), NO(CLAIM)},
    {"a hidden one of Dynamo's beside ours",
     .pod = POD(NOTE("namespace", "a"), "",
                ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"valueFrom\":{\"configMapKeyRef\":{"
                "\"name\":\"c\",\"key\":\"k\"}}}]"),
     IN, .has = {"--namespace=a"}},
    {"a hidden one beside the label is warned of",
     .pod = POD("\"labels\":{\"nvidia.com/dynamo-namespace\":\"a\"}", "",
                ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"valueFrom\":{\"configMapKeyRef\":{"
                "\"name\":\"c\",\"key\":\"k\"}}}]"),
     IN, .has = {"--namespace=a", "cannot be read"}},
    {"the pod's own label is read",
     .pod = POD("\"labels\":{\"nvidia.com/dynamo-namespace\":\"k-q\"}", "",
                ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"
                "\"metadata.labels['nvidia.com/dynamo-namespace']\"}}}]"),
     IN, .has = {"--namespace=k-q"}},
    {"the Kubernetes namespace is the request's",
     .pod = POD("\"namespace\":\"lie\"", "",
                ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"
                "\"metadata.namespace\"}}}]"),
     IN, .has = {"--namespace=k"}},
    {"Dynamo's separator", .config = "{" MINIMAL ",\"namespace-separator\":\".\"}",
     .pod = POD(NOTE("namespace", "x.y"), "", ""), IN,
     .has = {"--namespace=x/y", "\"DYNAMO_NAMESPACE\",\"value\":\"x.y\""}},
    /* 7.2 the policy */
    {"granted", .config = POLICY, .pod = POD(NOTE("namespace", "llama/v1"), "", ""), IN,
     .has = {"--namespace=llama/v1"}},
    {"granted by its own name", .config = POLICY, .pod = POD(NOTE("namespace", "k-dgd"), "", ""),
     IN},
    {"a neighbour's name", .config = POLICY, .pod = POD(NOTE("namespace", "llama2"), "", ""),
     NO(POLICY), .has = {"k", "llama2"}},
    {"the root is not granted", .config = POLICY, .pod = POD(WANT, "", ""), NO(POLICY),
     .has = {"default"}},
    {"another Kubernetes namespace", .config = POLICY,
     .pod = POD(NOTE("namespace", "llama"), "", ""), .kubernetes = "z", NO(POLICY)},
    {"everything, but only its own view", .config = POLICY,
     .pod = POD(COMPONENT("frontend"), "", ""), .kubernetes = "own-1", IN,
     .has = {"--view=own", "view own"}},
    {"a view that is asked for and not granted", .config = POLICY,
     .pod = POD(NOTE("view", "subtree"), "", ""), .kubernetes = "own-1", NO(POLICY)},
    {"a view that is granted", .config = POLICY,
     .pod = POD(WANT ",\"annotations\":{\"bulkhead.dev/namespace\":\"llama\",\"bulkhead.dev/"
                     "view\":\"subtree\"}",
                "", ""),
     IN, .has = {"--view=subtree"}},
    /* 2.5 the view by component */
    {"a frontend sees below", .pod = POD(COMPONENT("frontend"), "", ""), IN,
     .has = {"--view=subtree"}},
    {"epp sees below", .pod = POD(COMPONENT("epp"), "", ""), IN, .has = {"--view=subtree"}},
    {"default sees below", .pod = POD(COMPONENT("default"), "", ""), IN, .has = {"--view=subtree"}},
    {"a worker does not", .pod = POD(COMPONENT("worker"), "", ""), IN, .has = {"--view=own"}},
    {"the annotation decides", .pod = POD(NOTE("view", "subtree"), "", ""), IN,
     .has = {"--view=subtree"}},
    /* a view for each plane */
    {"one plane sees below", .pod = POD(NOTE("etcd-view", "subtree"), "", ""), IN,
     .has = {"\"--etcd-view=subtree\",\"--nats-view=own\"",
             "\\\"etcd-view\\\":\\\"subtree\\\",\\\"nats-view\\\":\\\"own\\\""},
     .not_in = "--view"},
    {"the other plane, and what both would be", IN,
     .pod = POD(NOTES("view", "subtree", "etcd-view", "own"), "", ""),
     .has = {"\"--etcd-view=own\",\"--nats-view=subtree\""}},
    {"whichever stands first", .pod = POD(NOTES("etcd-view", "own", "view", "subtree"), "", ""), IN,
     .has = {"\"--etcd-view=own\",\"--nats-view=subtree\""}},
    {"two that say the same are one", IN,
     .pod = POD(NOTES("etcd-view", "subtree", "nats-view", "subtree"), "", ""),
     .has = {"--view=subtree"}, .not_in = "nats-view="},
    {"what the component would have in the plane that does not say", IN,
     .pod = POD(COMPONENT("frontend") ",\"annotations\":{\"bulkhead.dev/nats-view\":\"own\"}", "",
                ""),
     .has = {"\"--etcd-view=subtree\",\"--nats-view=own\""}},
    {"a plane's view that is none", .pod = POD(NOTE("nats-view", "all"), "", ""), NO(ANNOTATION),
     .has = {"bulkhead.dev/nats-view is \"all\"; it can be own or subtree"}},
    {"asked of a plane where it is not granted", .config = PLANES, .kubernetes = "plane-1",
     .pod = POD(NOTE("nats-view", "subtree"), "", ""), NO(POLICY),
     .has = {"in NATS", "bulkhead.dev/nats-view: own"}},
    {"asked of both where one grants it", .config = PLANES, .kubernetes = "plane-1",
     .pod = POD(NOTE("view", "subtree"), "", ""), NO(POLICY), .has = {"in NATS"}},
    {"asked where it is granted", .config = PLANES, .kubernetes = "plane-1",
     .pod = POD(NOTES("view", "subtree", "nats-view", "own"), "", ""), IN,
     .has = {"\"--etcd-view=subtree\",\"--nats-view=own\""}},
    {"a frontend gets what is granted", .config = PLANES, .kubernetes = "plane-1",
     .pod = POD(COMPONENT("frontend"), "", ""), IN,
     .has = {"\"--etcd-view=subtree\",\"--nats-view=own\"", "in NATS: view own"}},
    {"granted in NATS alone", .config = PLANES, .kubernetes = "reverse-1",
     .pod = POD(COMPONENT("frontend"), "", ""), IN,
     .has = {"\"--etcd-view=own\",\"--nats-view=subtree\"", "in etcd: view own"}},
    {"asked of etcd, granted in NATS alone", .config = PLANES, .kubernetes = "reverse-1",
     .pod = POD(NOTE("etcd-view", "subtree"), "", ""), NO(POLICY),
     .has = {"in etcd", "bulkhead.dev/etcd-view: own"}},
    /* 2.7 what the program is told */
    {"a frontend's name is dynamo",
     .pod = POD(
         COMPONENT("frontend"), "",
         ",\"env\":[{\"name\":\"DYN_NAMESPACE\",\"value\":\"k-x\"},{\"name\":\"DYN_NAMESPACE_"
         "PREFIX\",\"value\":\"k-x\"},{\"name\":\"DYN_NAMESPACE_PREFIX_STRICT\",\"value\":\"1\"}]"),
     IN, .has = {"\"DYN_NAMESPACE\",\"value\":\"dynamo\"", "--namespace=k-x"}, .not_in = "PREFIX"},
    {"a worker keeps a usable name",
     .pod = POD(NOTE("namespace", "A/b"), "", ENV("DYN_NAMESPACE", "k_x-1")), IN,
     .has = {"\"DYN_NAMESPACE\",\"value\":\"k_x-1\""}},
    {"an unusable one becomes the path",
     .pod = POD(NOTE("namespace", "LLama-8b/v.A"), "", ENV("DYN_NAMESPACE", "LLama-8b/v.A")), IN,
     .has = {"\"DYN_NAMESPACE\",\"value\":\"llama-8b-v-a\"",
             "\"DYNAMO_NAMESPACE\",\"value\":\"LLama-8b/v.A\""}},
    {"keep",
     .pod = POD(WANT ",\"annotations\":{\"bulkhead.dev/dyn-namespace\":\"keep\"}", "",
                ENV("DYN_NAMESPACE", "A.b")),
     IN, .has = {"\"DYN_NAMESPACE\",\"value\":\"A.b\""}},
    /* 7.3 what is not isolated */
    {"Kubernetes discovery", .pod = POD(WANT, "", ENV("DYN_DISCOVERY_BACKEND", "kubernetes")), IN,
     .has = {"NOT isolated", "\"value\":\"kubernetes\""}},
    {"by a flag in a shell's text",
     .pod = POD(WANT, "", ",\"command\":[\"sh\",\"-c\",\"x --discovery-backend kubernetes --y\"]"),
     IN, .has = {"NOT isolated"}},
    {"by the label",
     .pod = POD("\"labels\":{\"bulkhead.dev/inject\":\"true\",\"nvidia.com/"
                "dynamo-discovery-backend\":\"kubernetes\"}",
                "", ""),
     IN, .has = {"NOT isolated"}},
    {"TCP with Kubernetes discovery",
     .pod = POD(WANT, "",
                ",\"env\":[{\"name\":\"DYN_DISCOVERY_BACKEND\",\"value\":\"kubernetes\"},{\"name\":"
                "\"DYN_REQUEST_PLANE\",\"value\":\"tcp\"}]"),
     IN, .has = {"the TCP request plane finds peers by Kubernetes discovery"}},
    {"TCP with etcd", .pod = POD(WANT, "", ENV("DYN_REQUEST_PLANE", "tcp")), IN,
     .has = {"the TCP request plane goes past NATS, isolated only as far as discovery is"}},
    {"ZMQ", .pod = POD(WANT, "", ",\"args\":[\"--event-plane\",\"zmq\"]"), IN,
     .has = {"the ZMQ event plane goes past NATS"}},
    {"the switch",
     .pod = POD(NOTE("dynamo-discovery", "etcd"), "", ENV("DYN_DISCOVERY_BACKEND", "kubernetes")),
     IN,
     .has = {"switched from kubernetes to etcd", "\"DYN_DISCOVERY_BACKEND\",\"value\":\"etcd\""}},
    {"the switch by label adds the variable",
     .pod = POD("\"labels\":{\"bulkhead.dev/inject\":\"true\",\"nvidia.com/"
                "dynamo-discovery-backend\":\"kubernetes\"},\"annotations\":{\"bulkhead.dev/"
                "dynamo-discovery\":\"kv_store\"}",
                "", ""),
     IN, .has = {"\"DYN_DISCOVERY_BACKEND\",\"value\":\"kv_store\""}},
    {"a flag wins over the switch",
     .pod = POD(NOTE("dynamo-discovery", "etcd"), "",
                ",\"args\":[\"--discovery-backend=kubernetes\"]"),
     IN, .has = {"wins over the switch", "NOT isolated"}},
    /* 6 the tiers */
    {"loopback touches no address",
     .pod = POD(NOTE("tier", "loopback"), "", ENV("ETCD_ENDPOINTS", "e:1")), IN,
     .has = {"\"ETCD_ENDPOINTS\",\"value\":\"e:1\""}, .not_in = "NATS_SERVER"},
    {"valueFrom is replaced",
     .pod = POD(WANT, "",
                ",\"env\":[{\"name\":\"NATS_SERVER\",\"valueFrom\":{\"secretKeyRef\":{\"name\":"
                "\"s\",\"key\":\"k\"}}}]"),
     IN, .has = {"{\"name\":\"NATS_SERVER\",\"value\":\"nats://127.0.0.1:4222\"}"},
     .not_in = "secretKeyRef"},
    {"every occurrence is",
     .pod = POD(WANT, "",
                ",\"env\":[{\"name\":\"NATS_SERVER\",\"value\":\"a\"},{\"name\":\"NATS_SERVER\","
                "\"value\":\"b\"}]"),
     IN, .not_in = "\"value\":\"a\""},
    {"envFrom is overruled and warned of",
     .pod = POD(WANT, "", ",\"envFrom\":[{\"configMapRef\":{\"name\":\"c\"}}]"), IN,
     .has = {"\"ETCD_ENDPOINTS\",\"value\":\"http://127.0.0.1:2379\"", "envFrom is not read"}},
    {"users of a variable come after it", .pod = POD(WANT, "", ENV("WHERE", "$(NATS_SERVER)/x")),
     IN,
     .has = {"\"value\":\"nats://"
             "127.0.0.1:4222\"},{\"name\":\"DYNAMO_NAMESPACE\",\"value\":\"default\"}"
             ",{\"name\":\"WHERE\""}},
    {"an empty list of variables", .pod = POD(WANT, "", ",\"env\":[]"), IN, .has = {"NATS_SERVER"}},
    {"a variable that is nothing but a name",
     .pod = POD(WANT, "", ",\"env\":[{\"name\":\"NATS_SERVER\"}]"), IN,
     .has = {"{\"name\":\"NATS_SERVER\",\"value\":\"nats://127.0.0.1:4222\"}"}},
    {"a variable without a name", .pod = POD(WANT, "", ",\"env\":[{\"value\":\"x\"}]"), NO(SHAPE)},
    {"a variable that is a text", .pod = POD(WANT, "", ",\"env\":[\"NATS_SERVER\"]"), NO(SHAPE)},
    {"what annotations and labels there are stays",
     .pod = POD(
         "\"labels\":{\"bulkhead.dev/inject\":\"true\",\"a/b~c\":\"1\"},\"annotations\":{\"x/y~z"
         "\":\"2\"}",
         "\"volumes\":[{\"name\":\"mine\"}],\"initContainers\":[{\"name\":\"first\"}],", ""),
     IN,
     .has = {"\"a/b~c\":\"1\"", "\"x/y~z\":\"2\"", "{\"name\":\"mine\"}", "{\"name\":\"first\""}},
    {"only where present", .pod = POD(WANT, "", ENV("NATS_URL", "nats://n")), IN,
     .has = {"\"NATS_URL\",\"value\":\"nats://127.0.0.1:4222\""}, .not_in = "ETCDCTL_ENDPOINTS"},
    {"credentials go",
     .pod = POD(WANT, "",
                ",\"env\":[{\"name\":\"NATS_AUTH_TOKEN\",\"value\":\"s\"},{\"name\":\"X\","
                "\"value\":\"y\"},{\"name\":\"ETCD_AUTH_CA\",\"value\":\"f\"}]"),
     IN, .has = {"\"X\",\"value\":\"y\""}, .not_in = "_AUTH_"},
    {"init containers too",
     .pod = POD(WANT,
                "\"initContainers\":[{\"name\":\"i\",\"env\":[{\"name\":\"ETCD_ENDPOINTS\","
                "\"value\":\"q\"}]}],",
                ""),
     IN, .not_in = "\"q\""},
    {"env null", .pod = POD(WANT, "", ",\"env\":null"), IN, .has = {"NATS_SERVER"}},
    {"a plane that is off is left", .config = "{\"image\":\"i\",\"etcd-upstream\":[\"e\"]}",
     .pod = POD(WANT, "", ENV("NATS_SERVER", "n")), IN, .has = {"\"NATS_SERVER\",\"value\":\"n\""},
     .not_in = "nats-upstream"},
    {"host names", .config = "{" MINIMAL ",\"tier\":\"hosts\",\"host-names\":[\"etcd-0\"]}",
     .pod = POD(WANT, "", ""), IN, .has = {"{\"ip\":\"127.0.0.1\",\"hostnames\":[\"etcd-0\"]}"}},
    {"redirect",
     .pod = POD(NOTE("tier", "redirect"), "\"securityContext\":{\"runAsNonRoot\":true},", ""), IN,
     .has = {"bulkhead-redirect", "NET_ADMIN", "--sidecar-uid=7077",
             "--intercept-listen=127.0.0.1:15379,[::1]:15379"}},
    {"what is enforced stays", .config = REDIRECT, .pod = POD(NOTE("tier", "environment"), "", ""),
     NO(ANNOTATION)},
    {"enforced", .config = REDIRECT,
     .pod = POD(WANT, "\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":1000},",
                ",\"securityContext\":{\"allowPrivilegeEscalation\":false}"),
     IN, .has = {"--enforce"}},
    {"enforced, and may be root", .config = REDIRECT,
     .pod = POD(WANT, "\"securityContext\":{\"runAsUser\":0},", ""), NO(CONFLICT), .has = {"root"}},
    /* conflicts */
    {"hostNetwork", .pod = POD(WANT, "\"hostNetwork\":true,", ""), NO(CONFLICT),
     .has = {"hostNetwork"}},
    {"a taken name",
     .pod = "{\"metadata\":{" WANT
            "},\"spec\":{\"containers\":[{\"name\":\"bulkhead\",\"image\":\"x\"}]}}",
     NO(CONFLICT), .has = {"named bulkhead"}},
    {"a taken volume", .pod = POD(WANT, "\"volumes\":[{\"name\":\"bulkhead-no-token\"}],", ""),
     NO(CONFLICT)},
    {"a port of ours", .pod = POD(WANT, "", ",\"ports\":[{\"containerPort\":4222}]"), NO(CONFLICT),
     .has = {"port 4222"}},
    {"a port of ours, warned", .config = "{" MINIMAL ",\"conflicts\":\"warn\"}",
     .pod = POD(WANT, "", ",\"ports\":[{\"containerPort\":4222}]"), IN, .has = {"port 4222"}},
    {"a port by UDP",
     .pod = POD(WANT, "", ",\"ports\":[{\"containerPort\":4222,\"protocol\":\"UDP\"}]"), IN},
    {"shareProcessNamespace is warned of", .pod = POD(WANT, "\"shareProcessNamespace\":true,", ""),
     IN, .has = {"shareProcessNamespace"}},
    {"and denied where conflicts are", .config = "{" MINIMAL ",\"conflicts\":\"deny\"}",
     .pod = POD(WANT, "\"shareProcessNamespace\":true,", ""), NO(CONFLICT)},
    {"privileged", .pod = POD(WANT, "", ",\"securityContext\":{\"privileged\":true}"), IN,
     .has = {"privileged"}},
    {"privileged where it is enforced", .config = REDIRECT,
     .pod = POD(WANT, "\"securityContext\":{\"runAsNonRoot\":true},",
                ",\"securityContext\":{\"privileged\":true}"),
     NO(CONFLICT)},
    {"a capability",
     .pod = POD(WANT, "", ",\"securityContext\":{\"capabilities\":{\"add\":[\"CAP_NET_RAW\"]}}"),
     IN, .has = {"NET_RAW"}},
    {"the sidecar's uid", .pod = POD(WANT, "\"securityContext\":{\"runAsUser\":7077},", ""), IN,
     .has = {"uid 7077"}},
    {"the sidecar's uid, redirected",
     .pod = POD(NOTE("tier", "redirect"), "\"securityContext\":{\"runAsUser\":7077},", ""),
     NO(CONFLICT)},
    {"Windows", .pod = POD(WANT, "\"os\":{\"name\":\"windows\"},", ""), NO(CONFLICT)},
    /* 7.4 native and classic */
    {"native", .pod = POD(WANT, "", ""), IN,
     .has = {"\"restartPolicy\":\"Always\"", "startupProbe"}, .not_in = "lifecycle"},
    {"classic", .config = CLASSIC, .pod = POD(WANT, "\"terminationGracePeriodSeconds\":60,", ""),
     IN,
     .has = {"postStart", "\"kubectl.kubernetes.io/default-container\":\"main\"",
             "--drain-mode=classic\",\"--drain-ms=55000"},
     .not_in = "restartPolicy"},
    {"classic by annotation", .pod = POD(NOTE("native", "false"), "", ""), IN,
     .has = {"postStart"}},
    {"a classic one in a Job", .config = CLASSIC, .pod = POD(WANT, "", ""), .job = true,
     NO(CONFLICT), .has = {"Job"}},
    {"a classic one in a Job that says so", .pod = POD(NOTE("native", "false"), "", ""),
     .job = true, IN},
    {"a native one in a Job", .pod = POD(WANT, "", ""), .job = true, IN},
    /* what others did to it */
    {"restartPolicy was stripped",
     .pod = "{\"metadata\":{" WANT ",\"annotations\":{\"bulkhead.dev/"
            "status\":\"{}\"}},\"spec\":{\"initContainers\":[{\"name\":\"bulkhead\",\"image\":\"i/"
            "b:1\"}],\"containers\":[{\"name\":\"main\"}]}}",
     IN, .has = {"\"restartPolicy\":\"Always\"", "runAsNonRoot"}},
    {"a command was put in",
     .pod = "{\"metadata\":{" WANT ",\"annotations\":{\"bulkhead.dev/"
            "status\":\"{}\"}},\"spec\":{\"initContainers\":[{\"name\":\"bulkhead\",\"command\":["
            "\"sh\"],\"envFrom\":[]}],\"containers\":[{\"name\":\"main\"}]}}",
     IN, .not_in = "\"sh\""},
    {"classic became native",
     .pod = "{\"metadata\":{" WANT ",\"annotations\":{\"bulkhead.dev/"
            "status\":\"{}\"}},\"spec\":{\"containers\":[{\"name\":"
            "\"bulkhead\"},{\"name\":\"main\"}]}}",
     IN, .has = {"\"containers\":[{\"name\":\"main\""}},
    /* shape */
    {"no spec", .pod = "{\"metadata\":{" WANT "}}", NO(SHAPE)},
    {"no containers", .pod = "{\"metadata\":{" WANT "},\"spec\":{}}", NO(SHAPE)},
    {"containers null", .pod = "{\"metadata\":{" WANT "},\"spec\":{\"containers\":null}}",
     NO(SHAPE)},
    {"containers an object", .pod = "{\"metadata\":{" WANT "},\"spec\":{\"containers\":{}}}",
     NO(SHAPE)},
    {"a container that is a number",
     .pod = "{\"metadata\":{" WANT "},\"spec\":{\"containers\":[1]}}", NO(SHAPE)},
    {"env an object", .pod = POD(WANT, "", ",\"env\":{}"), NO(SHAPE)},
    {"annotations null", .pod = POD(WANT ",\"annotations\":null", "", ""), IN},
    {"a list as the pod", .pod = "[]", NO(SHAPE)},
    {"no metadata", .pod = "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}", IN, .selected = true},
};

static void each_rule_does_what_it_says(void **state)
{
    (void)state;
    rows_check(rows, ARRAY_LEN(rows));
}

static void texts_fit_where_they_are_shown(void **state)
{
    (void)state;
    rows_check_texts(rows, ARRAY_LEN(rows));
}

static void a_hundred_containers_are_injected_and_many_more_denied(void **state)
{
    (void)state;
    struct inject_config *c = load(CONFIG);
    for (unsigned n = 100; n <= 300; n += 200) {
        struct buf pod = {0};
        struct outcome o;
        struct row r = {.selected = true};
        assert_int_equal(buf_printf(&pod, "{\"spec\":{\"containers\":["), ERR_OK);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(buf_printf(&pod, "%s{\"name\":\"c%u\"}", i == 0 ? "" : ",", i),
                             ERR_OK);
        assert_int_equal(buf_printf(&pod, "]}}"), ERR_OK);
        char *text = support_string(buf_span(&pod));
        inject(&r, c, text, &o);
        assert_int_equal(o.kind, n == 100 ? OUTCOME_INJECTED : OUTCOME_DENIED);
        outcome_deinit(&o);
        free(text);
        buf_deinit(&pod);
    }
    inject_config_deinit(c);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_does_what_it_says),
        cmocka_unit_test(texts_fit_where_they_are_shown),
        cmocka_unit_test(a_hundred_containers_are_injected_and_many_more_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
