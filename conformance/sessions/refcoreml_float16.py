"""refcoreml itself with blobs and weights in half precision, and sums in single.

refcoreml conformance run --python conformance/sessions/refcoreml_float16.py --profile fp16/acc32
"""

import refcoreml_float32

refcoreml_float32.PRECISION = "float16"
prepare = refcoreml_float32.prepare
