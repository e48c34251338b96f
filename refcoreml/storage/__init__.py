"""Every file that refcoreml reads or writes passes through here; knows bytes and arrays, nothing of models.

- `reading`: regular files of bounded size; inside a package none that a link leads to.
- `writing`: a file, or a folder, that is either the old one or the new one, whenever the process ends.
- `arrays`: ``.npy`` and ``.npz``, without pickles and without headers or archives that promise more than they hold.
"""
