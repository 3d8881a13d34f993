{{/*
The webhook's certificate as YAML: caCrt, tlsCrt, tlsKey, each in base64. What an earlier release made is kept: the
API server and the running pod go on trusting one another. Delete the Secret before an upgrade to have a new one.
It is worked out once a rendering, since every call would draw another key.
*/}}
{{- define "operator.certificate" -}}
{{- if not (hasKey .Values.webhook "drawn") -}}
{{- $name := include "operator.webhookSecret" . -}}
{{- $kept := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- if not (and (index $kept "ca.crt") (index $kept "tls.crt") (index $kept "tls.key")) -}}
{{- $service := printf "%s.%s.svc" (include "operator.fullname" .) .Release.Namespace -}}
{{- $made := genSelfSignedCert $service nil (list $service) 3650 -}}
{{- $kept = dict "ca.crt" ($made.Cert | b64enc) "tls.crt" ($made.Cert | b64enc) "tls.key" ($made.Key | b64enc) -}}
{{- end -}}
{{- $_ := set .Values.webhook "drawn" (pick $kept "ca.crt" "tls.crt" "tls.key") -}}
{{- end -}}
{{- toYaml .Values.webhook.drawn -}}
{{- end }}

{{/* What makes a pod start anew when its certificate is another; cert-manager's are read anew by themselves. */}}
{{- define "operator.certificateHash" -}}
{{- if and .Values.webhook.enabled (eq .Values.webhook.certificate "SelfSigned") -}}
{{- include "operator.certificate" . | sha256sum | trunc 8 -}}
{{- end -}}
{{- end }}
