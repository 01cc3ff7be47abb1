#!/bin/sh
# Measures everything on README.md's table: sh measure.sh DATA WORK [PYTHON_WITH_MEDIAPIPE]
# DATA has images/, bb/ and lists/ of 68-point faces; WORK gets photos, a video and results.
set -e
data=$1 work=$2 mediapipe=$3 peer=
here=$(dirname "$0")
folders="--image_dir=$data/images --bb_root=$data/bb"
rounds=${ROUNDS:-8}
[ -f "$work/face.mp4" ] ||
    python "$here/photos.py" $folders --lists="$data/lists/helen_train.txt" --output="$work"
for set in helen_dev aflw80_dev; do
    echo "## One face and 64, $set"
    musica-benchmark --rounds="$rounds" --threads=1 --batches=1,64 --runners=litert \
        --efforts=balanced,low,full --against=dlib,mediapipe $folders --train_filenames="$data/lists/$set.txt"
done
echo "## Folder"
[ -z "$mediapipe" ] || peer="$mediapipe $here/peer_folder.py mediapipe {source} {results}"
musica-benchmark --folder="$work/photos" --threads=1,2 --rounds=3 --commands="$peer"
musica-inference "$work/photos" --resDir="$work/found" --noskip_existing
python "$here/photos.py" --output="$work" --results="$work/found"
echo "## Video"
musica-benchmark --video="$work/face.mp4" --threads=1 --rounds=3
echo "## Start and memory"
photo=$(ls "$work"/photos/*.jpg | head -1)
python "$here/measure_runner.py" --image="$photo" --box=600,300,900,600
python -c "import subprocess, time
start = time.perf_counter()
subprocess.run(['musica-inference', '--resDir=$work/first'], check=True)
print('first command:', round(time.perf_counter() - start, 1), 's')"
for module in sys numpy musica musica.alignment.aligner; do
    python -c "import subprocess, sys, time; times = []
for _ in range(9):
    start = time.perf_counter()
    subprocess.run([sys.executable, '-c', 'import $module'], check=True)
    times.append(time.perf_counter() - start)
print('import $module:', round(1000 * min(times)), 'ms')"
done
