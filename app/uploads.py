"""Pictures that visitors bring: what is taken, judged by the content and never by the name.

Only the decoded pixels go on; the bytes that came are read by nothing else.
"""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from app.limits import RefusedError
from mirrorgan.images import PictureError, read_picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_BYTES = 4 * 2**20
MAX_SIDE = 8192
MAX_PIXELS = 24_000_000
MIN_SIDE = 16


def picture_from(content: object) -> Image.Image:
    """The picture in the bytes of a file, as `mirrorgan.images.read_picture` reads it; of an animation the first frame.

    Raises:
        RefusedError: It is no picture of a kind that is taken, is damaged, or has too many or too few pixels. The
            size is judged before anything is decoded.
    """
    if content is None:
        raise RefusedError("Choose a picture first.")
    if not isinstance(content, bytes | bytearray):
        raise RefusedError("This is no picture file.")
    if len(content) > MAX_BYTES:
        raise RefusedError(f"This file has {len(content) / 2**20:.1f} MB. Please use {MAX_BYTES // 2**20} MB or less.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that are refused below anyway
            return read_picture(io.BytesIO(content), FORMATS, _check_size)
    except PictureError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            kinds = ", ".join(FORMATS)
            raise RefusedError(f"This is no picture file that is read here. Please use one of: {kinds}.") from None
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise RefusedError("This picture has far too many pixels.") from None
        raise RefusedError("This picture file is damaged.") from None


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise RefusedError(
            f"This picture is {width:,} by {height:,} pixels large. "
            f"Please use one of at most {MAX_SIDE:,} a side and {MAX_PIXELS // 10**6} million in all."
        )
    if min(width, height) < MIN_SIDE:
        raise RefusedError(f"This picture is smaller than {MIN_SIDE} pixels.")
