#!/usr/bin/env bash
# Makes a shipped model, from the data to its files in musica/weights:
#     experiments/shipped/make.sh 68 musica68-0.2.0.keras
#     experiments/shipped/make.sh 98
# The 98-point model starts from the training of the 68-point one. A stage whose result exists is
# skipped, and an interrupted training goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
points=$1 here=experiments/shipped runs=runs/shipped

# made FILE COMMAND...: runs the command unless the file exists.
made() { [ -s "$1" ] || "${@:2}"; }

# start CONFIG MODEL: makes the first weights of a training out of an earlier model.
start() { python $here/start.py --train_config=$here/"$1" --model="$2"; }

faces98() {
  python ../shared/data/make_faces98.py $runs/faces98
  cp -r ../shared/data/faces98/{images,bb,lists} $runs/faces98
}

if [ "$points" = 68 ]; then
  made $runs/start68.keras start train68.json "$2"
  made $runs/train68/model.keras musica-train --config=$here/train68.json
  made $runs/train68_second/model.keras musica-train --config=$here/train68_second.json
  made $runs/train68_third/model.keras musica-train --config=$here/train68_third.json
  made $runs/train68_fourth/model.keras musica-train --config=$here/train68_fourth.json
  made $runs/start68_fifth.keras start train68_fifth.json $runs/train68_fourth/model.keras
  made $runs/train68_fifth/model.keras musica-train --config=$here/train68_fifth.json
  made $runs/train68_sixth/model.keras musica-train --config=$here/train68_fifth.json \
    --pretrained_model_checkpoint_path=$runs/train68_fifth/model.keras \
    --train_dir=$runs/train68_sixth --max_steps=3000 --seed=16
else
  made $runs/faces98/lists/webmorph_dev.txt faces98
  made $runs/start98.keras start train98.json $runs/train68_third/model.keras
  made $runs/train98/model.keras musica-train --config=$here/train98.json
  made $runs/train98_second/model.keras musica-train --config=$here/train98_second.json
fi
made $runs/gain$points.keras musica-calibrate --config=$here/calibrate_gain$points.json
made $runs/calibrated$points.keras musica-calibrate --config=$here/calibrate_efforts$points.json
export_as() {
  musica-export --checkpoint_file=$runs/calibrated$points.keras \
    --output=musica/weights/musica$points."$1" --precision="$2"
}
export_as keras half
export_as tflite int4
