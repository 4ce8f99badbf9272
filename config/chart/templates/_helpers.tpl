{{/* The name of all objects: that of the release where it says what it is. */}}
{{- define "eventmesh-catalog.name" -}}
{{- if contains "eventmesh-catalog" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-eventmesh-catalog" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By which Pods are found: never changed. */}}
{{- define "eventmesh-catalog.selector" -}}
app.kubernetes.io/name: eventmesh-catalog
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "eventmesh-catalog.labels" -}}
app.kubernetes.io/name: eventmesh-catalog
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "eventmesh-catalog.subjects" -}}
- kind: ServiceAccount
  name: {{ include "eventmesh-catalog.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* By its digest, where that is given. */}}
{{- define "eventmesh-catalog.image" -}}
{{- with .Values.image -}}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}
