#!/usr/bin/env bash
# Trains the shipped model from the third one; README.md says why each step is there.
#     bash experiments/fourth_68_24/recipe.sh ../shared/data/faces68
set -euo pipefail

data=$1
lists=$data/lists
runs=runs/fourth
here=experiments/fourth_68_24
faces=(--image_dir="$data/images" --bb_root="$data/bb")

align() { # model, list, output
  musica-inference "${faces[@]}" --nodraw --get_output_of_iteration=3 --checkpoint_file="$1" \
    --eval_filenames="$lists/$2.txt" --resDir="$3"
}
mend() { # predictions, output, comma-separated lists, options
  local filenames
  filenames=$(printf ",$lists/%s.txt" ${3//,/ })
  python data/blend_labels.py --image_dir="$data/images" --prediction_dir="$1" --output="$2" \
    --filenames="${filenames:1}" "${@:4}"
}
ytf_auto=(--shift_y=0.35 --shift_x=-0.15)
aflw80=(--shift_y=-0.2 --shift_x=-1.15 --largest_difference=0.2)

for set in ytf_auto_train aflw80_train; do
  align runs/third_68_24/realigning.keras $set $runs/teacher
done
mend $runs/teacher $runs/labels1 ytf_auto_train "${ytf_auto[@]}"
mend $runs/teacher $runs/labels1 aflw80_train,aflw80_dev "${aflw80[@]}" --label_weight=1
mend $runs/teacher $runs/labels1 webmorph_train,facesynthetics100_train
musica-train --config=$here/train.json

for set in ytf_auto_train aflw80_train; do
  align $runs/train/model.keras $set $runs/teacher2
done
mend $runs/teacher2 $runs/labels2 ytf_auto_train "${ytf_auto[@]}" --register
mend $runs/teacher2 $runs/labels2 aflw80_train "${aflw80[@]}" --register --label_weight=0.8
mend $runs/teacher2 $runs/labels2 aflw80_dev "${aflw80[@]}" --label_weight=1
mend $runs/teacher2 $runs/labels2 webmorph_train,facesynthetics100_train
musica-train --config=$here/finetune.json

musica-calibrate --config=$here/calibrate.json
if [ ! -d runs/perturbed/all_rolls ]; then
  python data/perturb.py --kind=roll --smallest_roll=0 --image_dir="$data/images" \
    --filenames="$lists/ytf_auto_dev.txt" --output=runs/perturbed/all_rolls
fi
musica-calibrate --config=$here/calibrate_realign.json
for suffix in keras tflite; do
  musica-export --checkpoint_file=$runs/realigning.keras --output=musica/weights/musica68.$suffix
done
