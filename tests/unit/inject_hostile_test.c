/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_hostile_test - pods whose author wants another namespace, the sidecar's user, or the
 * stores' passwords: what comes of each attempt.
 */
#include "inject_rows.h"

#define TEAM                                                                                       \
    "{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"team-*\"],\"claims\":[\"{"             \
    "kubernetes-namespace}\"]}]}"
#define BELOW                                                                                      \
    "{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"*\"],\"claims\":[\"{"                  \
    "kubernetes-namespace}/*\"],\"view\":\"subtree\"}]}"
#define SECRETS                                                                                    \
    "{" MINIMAL ",\"sidecar-env\":[{\"name\":\"BULKHEAD_ETCD_PASSWORD\",\"valueFrom\":{"           \
    "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}],\"sidecar-volumes\":[{\"name\":\"creds\"," \
    "\"secret\":{\"secretName\":\"s\"}}],\"sidecar-volume-mounts\":[{\"name\":\"creds\","          \
    "\"mountPath\":\"/creds\"}]}"
#define ITEMS                                                                                      \
    "{" MINIMAL                                                                                    \
    ",\"sidecar-volumes\":[{\"name\":\"creds\",\"projected\":{\"sources\":[{\"secret\":{"          \
    "\"name\":\"s\",\"items\":[{\"key\":\"k\",\"path\":\"p\"}]}},{\"serviceAccountToken\":{"       \
    "\"path\":\"t\"}}]}}],\"sidecar-volume-mounts\":[{\"name\":\"creds\",\"mountPath\":\"/"        \
    "creds\"}]}"
#define FAR     "{\"image\":\"i/b:1\",\"etcd-upstream\":[\"e-0.e.stores.svc.cluster.local:2379\"]}"
#define NO_UID  "{" MINIMAL ",\"uid\":0,\"gid\":0}"
#define NO_MORE "\"allowPrivilegeEscalation\":false"
#define SAFE    ",\"securityContext\":{" NO_MORE "}"
/* A pod that says it was injected, with init containers of its author's making. */
#define FAKE(spec, init)                                                                           \
    "{\"metadata\":{" WANT ",\"annotations\":{\"bulkhead.dev/status\":\"{}\","                     \
    "\"bulkhead.dev/namespace\":\"team-a\"}},\"spec\":{" spec "\"initContainers\":[" init          \
    "],\"containers\":[{\"name\":\"main\",\"image\":\"x\"" SAFE "}]}}"
#define SIDECAR(more)   "{\"name\":\"bulkhead\",\"image\":\"i/b:1\"" more "}"
#define USER            "\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":1000},"
#define LABELS(name, v) "\"labels\":{\"bulkhead.dev/inject\":\"true\",\"" name "\":\"" v "\"}"
#define FROM(name, how) ",\"env\":[{\"name\":\"" name "\",\"valueFrom\":{" how "}}]"

static const struct row rows[] = {
    /* claiming what is another team's, by each way to claim */
    {"the annotation", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-b"), "", ""), NO(POLICY), .has = {"team-a", "team-b"}},
    {"what is below it", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-b/x"), "", ""), NO(POLICY)},
    {"a longer name", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-ab"), "", ""), NO(POLICY)},
    {"the root", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "default"), "", ""), NO(POLICY)},
    {"the root, by saying nothing", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(WANT, "", ""), NO(POLICY)},
    {"Dynamo's label", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(LABELS("nvidia.com/dynamo-namespace", "team-b"), "", ""), NO(POLICY)},
    {"the variable", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(WANT, "", ENV("DYNAMO_NAMESPACE", "team-b")), NO(POLICY)},
    {"the variable said twice: the last one counts, as for the program", .config = TEAM,
     .kubernetes = "team-a",
     .pod = POD(WANT, "",
                ",\"env\":[{\"name\":\"DYNAMO_NAMESPACE\",\"value\":\"team-a\"},{\"name\":"
                "\"DYNAMO_NAMESPACE\",\"value\":\"team-b\"}]"),
     NO(POLICY)},
    {"the variable from the pod's own label", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(LABELS("x", "team-b"), "",
                FROM("DYNAMO_NAMESPACE", "\"fieldRef\":{\"fieldPath\":\"metadata.labels['x']\"}")),
     NO(POLICY)},
    {"the variable from a Secret", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(WANT, "",
                FROM("DYNAMO_NAMESPACE", "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}")),
     NO(CLAIM)},
    {"a Secret beside the annotation: the program is told the annotation's", .config = TEAM,
     .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a"), "",
                FROM("DYNAMO_NAMESPACE", "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}")),
     IN, .has = {"--namespace=team-a", "\"DYNAMO_NAMESPACE\",\"value\":\"team-a\""},
     .not_in = "secretKeyRef"},
    {"another Kubernetes namespace in the pod", .config = TEAM, .kubernetes = "team-a",
     .pod = POD("\"namespace\":\"team-b\"," NOTE("namespace", "team-b"), "", ""), NO(POLICY)},
    {"an owner in another Kubernetes namespace", .config = TEAM, .kubernetes = "team-a",
     .pod = POD("\"generateName\":\"x-\",\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":"
                "\"team-b\",\"controller\":true}]," NOTE("namespace", "team-b"),
                "", ""),
     NO(POLICY), .has = {"pod x-"}},
    {"from the Kubernetes namespace whose name is the root's word", .config = BELOW,
     .kubernetes = "default", .pod = POD(NOTE("namespace", "team-b/x"), "", ""), NO(POLICY)},
    {"the root, from there", .config = BELOW, .kubernetes = "default",
     .pod = POD(NOTE("namespace", "default"), "", ""), NO(POLICY)},
    {"up and down again", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a/../team-b"), "", ""), NO(CLAIM)},
    {"a slash at the end", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a/"), "", ""), NO(CLAIM)},
    {"percent-encoded", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a%2f..%2fteam-b"), "", ""), NO(CLAIM)},
    {"a NUL", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a\\u0000/../team-b"), "", ""), NO(CLAIM)},
    {"a letter that looks like it", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "te\\u0430m-a"), "", ""), NO(CLAIM)},
    {"a blank behind it", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a "), "", ""), NO(CLAIM)},
    {"the annotation's name escaped", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(WANT ",\"annotations\":{\"\\u0062ulkhead.dev/namespace\":\"team-b\"}", "", ""),
     NO(POLICY)},
    {"an annotation and the variable that disagree", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a"), "", ENV("DYNAMO_NAMESPACE", "team-a/b")), NO(CLAIM)},
    {"the variable in an init container", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a"),
                "\"initContainers\":[{\"name\":\"i\",\"env\":[{\"name\":\"DYNAMO_NAMESPACE\","
                "\"value\":\"team-b\"}]}],",
                ""),
     NO(CLAIM)},
    {"the sidecar's own variables in the program's container, which are nobody's", .config = TEAM,
     .kubernetes = "team-a",
     .pod = POD(NOTE("namespace", "team-a"), "", ENV("BULKHEAD_NAMESPACE", "team-b")), IN,
     .has = {"--namespace=team-a"}},
    {"a view of everything", .config = TEAM, .kubernetes = "team-a",
     .pod = POD(WANT
                ",\"annotations\":{\"bulkhead.dev/namespace\":\"team-a\",\"bulkhead.dev/view\":"
                "\"subtree\"}",
                "", ""),
     NO(POLICY)},
    /* a sidecar of the author's own making */
    {"without the injector's mark", .pod = POD(WANT, "\"initContainers\":[" SIDECAR("") "],", ""),
     NO(CONFLICT), .has = {"named bulkhead"}},
    {"another namespace in its arguments",
     .pod = FAKE("", SIDECAR(",\"args\":[\"serve\",\"--namespace=team-b\"]")), IN,
     .has = {"--namespace=team-a"}, .not_in = "team-b"},
    {"another image", .pod = FAKE("", "{\"name\":\"bulkhead\",\"image\":\"evil:1\"}"), IN,
     .not_in = "evil"},
    {"a library preloaded",
     .pod = FAKE("", SIDECAR(",\"env\":[{\"name\":\"LD_PRELOAD\",\"value\":\"/x.so\"}]")), IN,
     .not_in = "LD_PRELOAD"},
    {"the same beside variables of ours", .config = SECRETS,
     .pod = FAKE("", SIDECAR(",\"env\":[{\"name\":\"BULKHEAD_ETCD_PASSWORD\",\"valueFrom\":{"
                             "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}},{\"name\":"
                             "\"LD_PRELOAD\",\"value\":\"/x.so\"}]")),
     IN, .has = {"BULKHEAD_ETCD_PASSWORD"}, .not_in = "LD_PRELOAD"},
    {"a variable of ours said twice", .config = SECRETS,
     .pod = FAKE("", SIDECAR(",\"env\":[{\"name\":\"BULKHEAD_ETCD_PASSWORD\",\"valueFrom\":{"
                             "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}},{\"name\":"
                             "\"BULKHEAD_ETCD_PASSWORD\",\"value\":\"mine\"}]")),
     IN, .not_in = "mine"},
    {"a mount over the program",
     .pod = FAKE("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],",
                 SIDECAR(",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/usr/bin\"}]")),
     IN, .not_in = "/usr/bin"},
    {"a mount beside ours",
     .pod = FAKE("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],",
                 SIDECAR(",\"volumeMounts\":[{\"name\":\"bulkhead-no-token\",\"mountPath\":"
                         "\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true},"
                         "{\"name\":\"v\",\"mountPath\":\"/usr/lib\"}]")),
     IN, .not_in = "/usr/lib"},
    {"our own mount, of something within the volume",
     .pod = FAKE("", SIDECAR(",\"volumeMounts\":[{\"name\":\"bulkhead-no-token\",\"mountPath\":"
                             "\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true,"
                             "\"subPath\":\"x\"}]")),
     IN, .not_in = "subPath"},
    {"the passwords' mount, of something within the volume", .config = SECRETS,
     .pod = FAKE("", SIDECAR(",\"volumeMounts\":[{\"name\":\"bulkhead-no-token\",\"mountPath\":"
                             "\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true},"
                             "{\"name\":\"creds\",\"mountPath\":\"/creds\",\"subPathExpr\":\"$(A)"
                             "\"}]")),
     IN, .not_in = "subPathExpr"},
    {"a mount that spreads",
     .pod = FAKE("", SIDECAR(",\"volumeMounts\":[{\"name\":\"bulkhead-no-token\",\"mountPath\":"
                             "\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true,"
                             "\"mountPropagation\":\"Bidirectional\"}]")),
     IN, .not_in = "Bidirectional"},
    {"a termination message over the program",
     .pod = FAKE("", SIDECAR(",\"terminationMessagePath\":\"/usr/bin/bulkhead\"")), IN,
     .not_in = "terminationMessagePath"},
    {"a termination message over the redirect container's program", .config = REDIRECT,
     .pod = FAKE(USER, "{\"name\":\"bulkhead-redirect\",\"image\":\"i/b:1\","
                       "\"terminationMessagePath\":\"/usr/bin/bulkhead\"}," SIDECAR("")),
     IN, .not_in = "terminationMessagePath"},
    {"the usual termination message, which the API server fills in",
     .pod = FAKE("", SIDECAR(",\"terminationMessagePath\":\"/dev/termination-log\"")), IN,
     .has = {"/dev/termination-log"}},
    {"a port of the node",
     .pod = FAKE("", SIDECAR(",\"ports\":[{\"name\":\"bulkhead-http\","
                             "\"containerPort\":9090,\"protocol\":\"TCP\","
                             "\"hostPort\":9090}]")),
     IN, .not_in = "hostPort"},
    {"a port more",
     .pod = FAKE("", SIDECAR(",\"ports\":[{\"name\":\"bulkhead-http\","
                             "\"containerPort\":9090,\"protocol\":\"TCP\"},{"
                             "\"containerPort\":5,\"hostPort\":5}]")),
     IN, .not_in = "hostPort"},
    {"a probe of another host",
     .pod = FAKE("", SIDECAR(",\"livenessProbe\":{\"httpGet\":{\"path\":\"/livez\",\"port\":9090,"
                             "\"host\":\"10.6.6.6\"},\"periodSeconds\":10,\"timeoutSeconds\":3,"
                             "\"failureThreshold\":6}")),
     IN, .not_in = "10.6.6.6"},
    {"a device",
     .pod = FAKE("", SIDECAR(",\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":"
                             "\"32Mi\"},\"claims\":[{\"name\":\"gpu\"}]}")),
     IN, .not_in = "claims"},
    {"a member that nobody knows yet", .pod = FAKE("", SIDECAR(",\"newMember\":{\"a\":1}")), IN,
     .not_in = "newMember"},
    {"the password, if there is one", .config = SECRETS,
     .pod = FAKE("",
                 SIDECAR(",\"env\":[{\"name\":\"BULKHEAD_ETCD_PASSWORD\",\"valueFrom\":{"
                         "\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\",\"optional\":true}}}]")),
     IN, .not_in = "optional"},
    {"more rights where the platform chooses the user", .config = NO_UID,
     .pod = FAKE("", SIDECAR(",\"securityContext\":{\"runAsNonRoot\":true,"
                             "\"allowPrivilegeEscalation\":false,\"privileged\":false,"
                             "\"capabilities\":{\"drop\":[\"ALL\"],\"add\":[\"SYS_ADMIN\"]},"
                             "\"readOnlyRootFilesystem\":true,\"seccompProfile\":{\"type\":"
                             "\"RuntimeDefault\"}}")),
     IN, .not_in = "SYS_ADMIN"},
    {"no confinement where the platform chooses the user", .config = NO_UID,
     .pod = FAKE("", SIDECAR(",\"securityContext\":{\"runAsNonRoot\":true,"
                             "\"allowPrivilegeEscalation\":false,\"privileged\":false,"
                             "\"capabilities\":{\"drop\":[\"ALL\"]},\"procMount\":\"Unmasked\","
                             "\"readOnlyRootFilesystem\":true,\"seccompProfile\":{\"type\":"
                             "\"RuntimeDefault\"}}")),
     IN, .not_in = "Unmasked"},
    {"rules that end it", .pod = FAKE("", SIDECAR(",\"restartPolicyRules\":[{\"action\":\"x\"}]")),
     IN, .not_in = "restartPolicyRules"},
    {"our volume from the node",
     .pod = FAKE("\"volumes\":[{\"name\":\"bulkhead-no-token\",\"hostPath\":{\"path\":\"/\"}}],",
                 SIDECAR("")),
     IN, .not_in = "hostPath"},
    {"the volume of the passwords from somewhere else", .config = SECRETS,
     .pod = FAKE("\"volumes\":[{\"name\":\"creds\",\"secret\":{\"secretName\":\"mine\"}}],",
                 SIDECAR("")),
     IN, .not_in = "mine"},
    {"the volume of the passwords, one key in another's place", .config = SECRETS,
     .pod = FAKE("\"volumes\":[{\"name\":\"creds\",\"secret\":{\"secretName\":\"s\",\"items\":[{"
                 "\"key\":\"a\",\"path\":\"b\"}]}}],",
                 SIDECAR("")),
     IN, .not_in = "items"},
    {"the same volume as the API server stores it", .config = ITEMS,
     .pod = FAKE(
         "\"volumes\":[{\"name\":\"creds\",\"projected\":{\"sources\":[{\"secret\":{\"name\":"
         "\"s\",\"items\":[{\"key\":\"k\",\"path\":\"p\"}]}},{\"serviceAccountToken\":{"
         "\"path\":\"t\",\"expirationSeconds\":3600}}],\"defaultMode\":420}}],",
         SIDECAR("")),
     IN, .has = {"\"expirationSeconds\":3600}}],\"defaultMode\":420"}},
    {"the redirect container behind another one", .config = REDIRECT,
     .pod = FAKE(USER,
                 "{\"name\":\"early\",\"image\":\"x\"" SAFE "},{\"name\":\"bulkhead-redirect\","
                 "\"image\":\"i/b:1\"}," SIDECAR("")),
     IN, .has = {"\"initContainers\":[{\"name\":\"bulkhead-redirect\""}},
    {"a container that hides behind our name",
     .pod = "{\"metadata\":{" WANT ",\"annotations\":{\"bulkhead.dev/status\":\"{}\"}},\"spec\":{"
            "\"containers\":[{\"name\":\"main\"},{\"name\":\"bulkhead-redirect\",\"image\":"
            "\"evil:1\"}]}}",
     IN, .not_in = "evil"},
    /* the sidecar's user, which the rules leave alone */
    {"in the container", .config = REDIRECT,
     .pod = POD(WANT, USER, ",\"securityContext\":{" NO_MORE ",\"runAsUser\":7077}"), NO(CONFLICT),
     .has = {"uid 7077"}},
    {"by a file with the set-user-ID bit", .config = REDIRECT, .pod = POD(WANT, USER, ""),
     NO(CONFLICT), .has = {"set allowPrivilegeEscalation: false"}},
    {"the same, allowed by name", .config = REDIRECT,
     .pod = POD(WANT, USER, ",\"securityContext\":{\"allowPrivilegeEscalation\":true}"),
     NO(CONFLICT)},
    {"in an init container, of the same kind", .config = REDIRECT,
     .pod = POD(WANT, USER "\"initContainers\":[{\"name\":\"i\"}],", SAFE), NO(CONFLICT),
     .has = {"container i"}},
    {"neither", .config = REDIRECT, .pod = POD(WANT, USER, SAFE), IN},
    {"where nothing is enforced there are no rules to go around", .pod = POD(WANT, USER, ""), IN,
     .not_in = "set-uid"},
    {"by the image", .config = REDIRECT,
     .pod = POD(WANT, "\"securityContext\":{\"runAsNonRoot\":true},", SAFE), NO(CONFLICT),
     .has = {"no runAsUser"}},
    {"as root, who may become it", .config = REDIRECT,
     .pod = POD(WANT, USER, ",\"securityContext\":{" NO_MORE ",\"runAsUser\":0}"), NO(CONFLICT),
     .has = {"may be root"}},
    {"in an init container", .config = REDIRECT,
     .pod = POD(WANT,
                USER "\"initContainers\":[{\"name\":\"i\",\"securityContext\":{\"runAsUser\":7077"
                     "}}],",
                ""),
     NO(CONFLICT)},
    /* leading the sidecar elsewhere */
    {"the store's name in hostAliases",
     .pod = POD(WANT, "\"hostAliases\":[{\"ip\":\"10.6.6.6\",\"hostnames\":[\"e\"]}],", ""),
     NO(CONFLICT), .has = {"would dial it"}},
    {"on loopback too: the sidecar would dial itself, or whoever listens there",
     .pod = POD(WANT, "\"hostAliases\":[{\"ip\":\"127.0.0.1\",\"hostnames\":[\"x\",\"N\"]}],", ""),
     NO(CONFLICT)},
    {"the store's name as the host's", .pod = POD(WANT, "\"hostname\":\"N\",", ""), NO(CONFLICT),
     .has = {"own host name"}},
    {"as the pod's", .pod = POD("\"name\":\"e\"," WANT, "", ""), NO(CONFLICT)},
    {"the host's name is another one then",
     .pod = POD("\"name\":\"e\"," WANT, "\"hostname\":\"x\",", ""), IN},
    {"as host and subdomain", .config = FAR,
     .pod = POD(WANT, "\"hostname\":\"e-0\",\"subdomain\":\"e\",", ""), NO(CONFLICT)},
    {"a part of it is nothing", .config = FAR,
     .pod = POD(WANT, "\"hostname\":\"e-0\",\"subdomain\":\"e2\",", ""), IN},
    {"nor is the host alone", .config = FAR, .pod = POD(WANT, "\"hostname\":\"e-0\",", ""), IN},
    {"another name server is warned of",
     .pod = POD(WANT, "\"dnsConfig\":{\"nameservers\":[\"10.6.6.6\"]},", ""), IN,
     .has = {"nameservers"}},
    {"and denied where conflicts are", .config = "{" MINIMAL ",\"conflicts\":\"deny\"}",
     .pod = POD(WANT, "\"dnsConfig\":{\"searches\":[\"evil.example\"]},", ""), NO(CONFLICT),
     .has = {"searches"}},
    {"options alone are nothing", .config = "{" MINIMAL ",\"conflicts\":\"deny\"}",
     .pod = POD(WANT, "\"dnsConfig\":{\"options\":[{\"name\":\"ndots\"}]},", ""), IN},
};

static void each_attempt_ends_as_it_should(void **state)
{
    (void)state;
    rows_check(rows, ARRAY_LEN(rows));
}

static void texts_fit_where_they_are_shown(void **state)
{
    (void)state;
    rows_check_texts(rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_attempt_ends_as_it_should),
        cmocka_unit_test(texts_fit_where_they_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
