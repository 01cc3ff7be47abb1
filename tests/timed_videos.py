"""Videos whose frames have given times, as those of phones, browsers and screen recorders."""

import cv2
import numpy as np


def write_timed(path, milliseconds, size=(64, 48), unreadable=()):
    """Writes a Matroska video of MJPEG frames, each a grey level brighter than the last.

    Args:
        path: of the file, .mkv.
        milliseconds: the time of each frame.
        size: width and height.
        unreadable: indices of frames whose content is damaged.
    """
    steady = path.with_name("steady.avi")
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(steady), cv2.CAP_FFMPEG, codec, 25, size)
    for index in range(len(milliseconds)):
        writer.write(np.full((size[1], size[0], 3), 10 * index, np.uint8))
    writer.release()
    packets = cv2.VideoCapture(str(steady), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    options = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    # Times are counted in units of the rate.
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 1000, size, options)
    for index, time in enumerate(milliseconds):
        packet = packets.read()[1]
        writer.set(cv2.VIDEOWRITER_PROP_PTS, time)
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, 1)
        writer.write(np.zeros_like(packet) if index in unreadable else packet)
    writer.release()
    packets.release()
    steady.unlink()
    return path
