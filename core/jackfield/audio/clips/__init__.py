"""Spoken answers as files: compressed, under unguessable names, served, and deleted by age and size.

`ClipStore` is what the panel shows. It keeps them in a folder, or in an object store: the latter needs the
package obstore, which is imported only where the configuration names a bucket.
"""

from jackfield.audio.clips.bucket import ClipBucket as ClipBucket
from jackfield.audio.clips.files import ClipFiles as ClipFiles, ClipLimits as ClipLimits
from jackfield.audio.clips.folder import ClipFolder as ClipFolder
from jackfield.audio.clips.store import ClipStore as ClipStore

__all__ = ["ClipBucket", "ClipFiles", "ClipFolder", "ClipLimits", "ClipStore"]
