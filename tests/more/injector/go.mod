module bulkheadpatch

go 1.26

// The applier of the API server (k8s.io/apiserver's go.mod).
require gopkg.in/evanphx/json-patch.v4 v4.13.0
