"""refcoreml itself as ML Programs say: results of half precision rounded after each operation, sums in single.

refcoreml conformance run mil --python conformance/sessions/refcoreml_declared.py --profile declared
"""

import refcoreml_float32

refcoreml_float32.PRECISION = "declared"
prepare = refcoreml_float32.prepare
