"""The method in plain NumPy loops, one face at a time, after METHOD.md; nothing of musica is used.

Points are (y, x). A step's weights are a dict of (kernel, bias) pairs: ``conv_0``, ``conv_1``,
``recurrent``, ``head``, and where the model has them ``attention`` and ``error``.
"""

import numpy as np


def extract_patch(image, centre, size):
    """Section 2: no interpolation; row 0 and column 0 are never copied."""
    patch = np.zeros((size, size, image.shape[2]), image.dtype)
    top, left = (int(np.float32(value) - np.float32(size // 2)) for value in centre)
    for i in range(size):
        for j in range(size):
            row, column = top + i, left + j
            if 0 < row < image.shape[0] and 0 < column < image.shape[1]:
                patch[i, j] = image[row, column]
    return patch


def convolve(image, kernel, bias):
    """3x3 VALID convolution and ReLU."""
    rows, columns = image.shape[0] - 2, image.shape[1] - 2
    result = np.zeros((rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            for a in range(3):
                for b in range(3):
                    result[i, j] += image[i + a, j + b] @ kernel[a, b]
    return np.maximum(result + bias, 0)


def pool(image):
    """2x2 maximum, an odd last row or column left out."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    result = np.zeros((rows, columns, image.shape[2]))
    for i in range(rows):
        for j in range(columns):
            result[i, j] = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(0, 1))
    return result


def encode(patch, weights):
    """Section 3: the centre of the second convolution beside its pool."""
    fine = convolve(pool(convolve(patch, *weights["conv_0"])), *weights["conv_1"])
    coarse = pool(fine)
    margin = (len(fine) - len(coarse)) // 2
    features = []
    for i in range(len(coarse)):
        for j in range(len(coarse)):
            features += [*fine[margin + i, margin + j], *coarse[i, j]]
    return np.array(features)


def attend(features, weights):
    """Section 3: a gate for each feature of one patch."""
    kernel, bias = weights["attention"]
    return features / (1 + np.exp(-(features @ kernel + bias)))


def step(image, centres, hidden, weights, patch_size=14):
    """Section 3: displacement (N, 2), new hidden state (H,), error or None."""
    inputs = []
    for centre in centres:
        features = encode(extract_patch(image, centre, patch_size), weights)
        inputs += [*(attend(features, weights) if "attention" in weights else features)]
    kernel, bias = weights["recurrent"]
    hidden = np.tanh(np.array([*inputs, *hidden]) @ kernel + bias)
    kernel, bias = weights["head"]
    displacement = (hidden @ kernel + bias).reshape(-1, 2)
    error = None
    if "error" in weights:
        kernel, bias = weights["error"]
        error = (hidden @ kernel + bias)[0]
    return displacement, hidden, error


def musica(pyramid, initial, steps, levels, patch_indices):
    """Section 4: lists of landmarks, errors and hidden states of one face.

    Each iteration has patch points of its own.
    """
    landmarks, errors, hiddens = [], [], []
    displacement = np.zeros_like(initial, dtype=float)
    hidden = np.zeros(len(steps[0]["recurrent"][1]))
    for k, (level, weights) in enumerate(zip(levels, steps, strict=True)):
        centres = [initial[i] / 2**level + displacement[i] for i in patch_indices[k]]
        moved, hidden, error = step(pyramid[level], centres, hidden, weights)
        displacement = displacement + moved
        landmarks.append(initial + displacement * 2**level)
        errors.append(error)
        hiddens.append(hidden)
        if k + 1 < len(levels):
            displacement = displacement * 2.0 ** (level - levels[k + 1])
    return landmarks, errors, hiddens


def mdm(image, initial, weights, iterations, patch_indices, patch_size):
    """Section 11: lists of landmarks and hidden states of one face."""
    landmarks, hiddens = [], []
    current, hidden = initial, np.zeros(len(weights["recurrent"][1]))
    for _ in range(iterations):
        centres = [current[i] for i in patch_indices]
        moved, hidden, _ = step(image, centres, hidden, weights, patch_size)
        current = current + moved
        landmarks.append(current)
        hiddens.append(hidden)
    return landmarks, hiddens


def l1_error(predicted, truth, eye_corners):
    """Section 5, one face: point errors below 0.01 px do not count."""
    total = 0.0
    for (y, x), (true_y, true_x) in zip(predicted, truth, strict=True):
        error = abs(y - true_y) + abs(x - true_x)
        total += error if error >= 0.01 else 0
    a, b = truth[eye_corners[0]], truth[eye_corners[1]]
    return total / len(truth) / (abs(a[0] - b[0]) + abs(a[1] - b[1]))


def normalised_rmse(predicted, truth, eye_corners):
    """Section 5, one face."""
    total = 0.0
    for (y, x), (true_y, true_x) in zip(predicted, truth, strict=True):
        total += np.sqrt(0.001 + (y - true_y) ** 2 + (x - true_x) ** 2)
    a, b = truth[eye_corners[0]], truth[eye_corners[1]]
    return total / len(truth) / np.hypot(a[0] - b[0], a[1] - b[1])


def iteration_loss(face_errors, estimates):
    """Section 5, one iteration of one batch."""
    total = 0.0
    for error, estimate in zip(face_errors, estimates, strict=True):
        total += 0.95 * error + 0.05 * abs(error - estimate)
    return total / len(face_errors)


def bilinear(image, y, x, clamp):
    """The image's value between pixels; beyond its edge the edge's or zero."""
    top, left = int(np.floor(y)), int(np.floor(x))
    value = np.zeros(image.shape[2])
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_weight in ((left, left + 1 - x), (left + 1, x - left)):
            r, c = row, column
            if clamp:
                r, c = min(max(r, 0), len(image) - 1), min(max(c, 0), image.shape[1] - 1)
            if 0 <= r < len(image) and 0 <= c < image.shape[1]:
                value += row_weight * column_weight * image[r, c]
    return value


def upright_crop(image, region, shift, scale, shape):
    """Section 1, steps 2 to 4, without a turn: copied, shifted by (y, x), resized."""
    x0, y0, x1, y1 = region
    copied = np.zeros((y1 - y0 + 1, x1 - x0 + 1, image.shape[2]))
    shifted, result = np.zeros_like(copied), np.zeros((*shape, image.shape[2]))
    for i in range(len(copied)):
        for j in range(copied.shape[1]):
            if 0 <= y0 + i < len(image) and 0 <= x0 + j < image.shape[1]:
                copied[i, j] = image[y0 + i, x0 + j]
    for i in range(len(copied)):
        for j in range(copied.shape[1]):
            shifted[i, j] = bilinear(copied, i - shift[0], j - shift[1], clamp=False)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, x = (i + 0.5) / scale - 0.5, (j + 0.5) / scale - 0.5
            result[i, j] = bilinear(shifted, y, x, clamp=True)
    return result
