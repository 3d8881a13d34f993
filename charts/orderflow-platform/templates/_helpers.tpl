{{/* Labels of one part of the platform; called with (list $ "kafka"). */}}
{{- define "platform.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{- define "platform.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "platform.selector" . }}
app.kubernetes.io/part-of: orderflow-platform
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end }}

{{/* Labels of pods: none that another version of the chart would change, for that would start them anew. */}}
{{- define "platform.podLabels" -}}
{{ include "platform.selector" . }}
app.kubernetes.io/part-of: orderflow-platform
{{- end }}

{{/* Strimzi or Broker. */}}
{{- define "platform.kafka" -}}
{{- if ne .Values.kafka.type "Auto" -}}
{{ .Values.kafka.type }}
{{- else if .Capabilities.APIVersions.Has "kafka.strimzi.io/v1/Kafka" -}}
Strimzi
{{- else -}}
Broker
{{- end -}}
{{- end }}

{{/*
A password that an earlier release drew, or a new one; called with (list $ "secret-name" "key"). Kept over upgrades,
and over an uninstall too, as the disk is that knows it.
*/}}
{{- define "platform.password" -}}
{{- $root := index . 0 -}}
{{- $kept := (lookup "v1" "Secret" $root.Release.Namespace (index . 1)).data | default dict -}}
{{- with index $kept "password" -}}
{{ b64dec . }}
{{- else -}}
{{ randAlphaNum 32 }}
{{- end -}}
{{- end }}

{{/* The headless Service that gives each pod its own name. */}}
{{- define "platform.pods" -}}
{{ .Release.Name | trunc 58 | trimSuffix "-" }}-pods
{{- end }}

{{- define "platform.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What every pod has; called with (list $ uid gid). */}}
{{- define "platform.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A disk that outlives the release; called with (list $ "size"). */}}
{{- define "platform.disk" -}}
- metadata:
    name: data
  spec:
    accessModes: [ReadWriteOnce]
    {{- with (index . 0).Values.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ index . 1 }}
{{- end }}
