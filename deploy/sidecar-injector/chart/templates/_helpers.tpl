{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Names, labels, images and the rules of selection, once for all templates. */}}

{{- define "bulkhead.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "bulkhead.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "bulkhead.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else if hasPrefix .Release.Name (include "bulkhead.name" .) }}
{{- include "bulkhead.name" . }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "bulkhead.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "bulkhead.selectorLabels" -}}
app.kubernetes.io/name: {{ include "bulkhead.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bulkhead.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "bulkhead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: injector
app.kubernetes.io/part-of: bulkhead
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "bulkhead.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "bulkhead.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image: {repository, tag, digest}; the digest, where there is one, decides. */}}
{{- define "bulkhead.image" -}}
{{- $tag := default .root.Chart.AppVersion .image.tag -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ $tag }}
{{- end -}}
{{- end }}

{{/* Which of the three ways the certificate comes: certManager, external, selfSigned. */}}
{{- define "bulkhead.certificateFrom" -}}
{{- if .Values.webhook.certManager.enabled -}}
{{- if or .Values.webhook.certificateSecret.external .Values.webhook.caBundle -}}
{{- fail "webhook.certManager.enabled excludes webhook.certificateSecret.external and webhook.caBundle" -}}
{{- end -}}
certManager
{{- else if .Values.webhook.certificateSecret.external -}}
{{- if not (and .Values.webhook.certificateSecret.name .Values.webhook.caBundle) -}}
{{- fail "webhook.certificateSecret.external needs webhook.certificateSecret.name (a Secret with tls.crt and tls.key) and webhook.caBundle (base64 of the PEM of its authority)" -}}
{{- end -}}
external
{{- else -}}
{{- if .Values.webhook.caBundle -}}
{{- fail "webhook.caBundle goes with webhook.certificateSecret.external" -}}
{{- end -}}
selfSigned
{{- end -}}
{{- end }}

{{- define "bulkhead.certificateSecret" -}}
{{- default (printf "%s-tls" (include "bulkhead.fullname" .)) .Values.webhook.certificateSecret.name }}
{{- end }}

{{/* Kubernetes namespaces that the webhook never looks at: with failurePolicy Fail, the injector's own
     and the system's must be able to start while the injector does not run. */}}
{{- define "bulkhead.excludedNamespaces" -}}
{{- concat (list .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson }}
{{- end }}

{{/* CEL, true for a pod with one of the variables by which Dynamo's programs are told a namespace. */}}
{{- define "bulkhead.celHasVariable" -}}
(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])).exists(c, has(c.env) && c.env.exists(e, e.name in {{ .Values.injection.variables | toJson }}))
{{- end }}

{{- define "bulkhead.injectorArgs" -}}
- serve
- --listen=:{{ .Values.webhook.port }}
- --health-listen=:{{ .Values.metrics.port }}
- --tls-cert=/etc/bulkhead-injector/tls/tls.crt
- --tls-key=/etc/bulkhead-injector/tls/tls.key
- --config=/etc/bulkhead-injector/config/config.json
- --drain-ms=15000
- --log-level={{ .Values.logLevel }}
- --log-format={{ .Values.logFormat }}
{{- end }}

{{/* The injector's configuration: what `bulkhead-injector check` reads. */}}
{{- define "bulkhead.config" -}}
{{- $s := .Values.sidecar -}}
{{- if not (or .Values.stores.etcd.upstream .Values.stores.nats.upstream) -}}
{{- fail "stores.etcd.upstream or stores.nats.upstream is needed: where the shared stores are" -}}
{{- end -}}
{{- $native := $s.native -}}
{{- if eq (toString $native) "auto" -}}
{{- $native = semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- end -}}
{{- $c := dict
  "image" (include "bulkhead.image" (dict "root" . "image" $s.image))
  "binary" $s.binary
  "image-pull-policy" $s.image.pullPolicy
  "image-pull-secrets" $s.imagePullSecrets
  "etcd-upstream" .Values.stores.etcd.upstream
  "nats-upstream" .Values.stores.nats.upstream
  "etcd-port" .Values.stores.etcd.port
  "nats-port" .Values.stores.nats.port
  "health-port" $s.healthPort
  "intercept-port" $s.interceptPort
  "etcd-ports" $s.redirectPorts.etcd
  "nats-ports" $s.redirectPorts.nats
  "uid" $s.uid
  "gid" $s.gid
  "redirect-uid" $s.redirectUid
  "native" $native
  "tier" $s.tier
  "enforce" $s.enforce
  "host-names" $s.hostNames
  "conflicts" $s.conflicts
  "dynamo-discovery" $s.dynamoDiscovery
  "keep-dyn-namespace" $s.keepDynNamespace
  "namespace-separator" $s.namespaceSeparator
  "resources" $s.resources
  "sidecar-args" $s.args
  "redirect-args" $s.redirectArgs
  "sidecar-env" $s.env
  "sidecar-volumes" $s.volumes
  "sidecar-volume-mounts" $s.volumeMounts
  "log-level" $s.logLevel
  "log-format" $s.logFormat -}}
{{- if not (kindIs "invalid" $s.environment) }}{{ $_ := set $c "environment" $s.environment }}{{ end -}}
{{- if not (kindIs "invalid" $s.removeEnvironment) }}{{ $_ := set $c "remove-environment" $s.removeEnvironment }}{{ end -}}
{{- if not (kindIs "invalid" .Values.policy) -}}
{{- $rules := list -}}
{{- range .Values.policy -}}
{{- $rule := dict "kubernetes-namespaces" .kubernetesNamespaces "claims" .claims -}}
{{- if .view }}{{ $_ := set $rule "view" .view }}{{ end -}}
{{- if .etcdView }}{{ $_ := set $rule "etcd-view" .etcdView }}{{ end -}}
{{- if .natsView }}{{ $_ := set $rule "nats-view" .natsView }}{{ end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- $_ := set $c "policy" $rules -}}
{{- end -}}
{{- toJson $c -}}
{{- end }}
