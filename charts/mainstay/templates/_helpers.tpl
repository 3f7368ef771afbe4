{{- define "mainstay.name" -}}
{{- if contains "mainstay" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mainstay" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mainstay.serviceAccount" -}}
{{- default (include "mainstay.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "mainstay.selector" -}}
app.kubernetes.io/name: mainstay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mainstay.labels" -}}
{{ include "mainstay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mainstay.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* The operator's configuration file; engines without an image are left out. */}}
{{- define "mainstay.config" -}}
interval: {{ .Values.interval }}
resync: {{ .Values.resync }}
batchWindow: {{ .Values.batchWindow }}
callDeadline: {{ .Values.callDeadline }}
steps:
  image: {{ include "mainstay.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- with .Values.steps.resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
workspace:
  {{- with .Values.workspace.sizeLimit }}
  sizeLimit: {{ . }}
  {{- end }}
  {{- with .Values.workspace.medium }}
  medium: {{ . }}
  {{- end }}
engines:
  {{- range $name, $engine := .Values.engines }}
  {{- if $engine.image }}
  {{ $name }}: {{- toYaml $engine | nindent 4 }}
  {{- end }}
  {{- end }}
plainHTTPRegistries: {{- toYaml .Values.plainHTTPRegistries | nindent 2 }}
buildEnvironment: {{- toYaml .Values.buildEnvironment | nindent 2 }}
imagePullSecrets: {{- toYaml .Values.imagePullSecrets | nindent 2 }}
{{- end -}}
