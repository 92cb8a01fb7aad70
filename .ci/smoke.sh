# What an installed package must do, in an empty folder: say what it is, make phantoms, learn from them, label one.
regforest --help > /dev/null
regforest info --json > info.json
python -c "import json, regforest; assert json.load(open('info.json'))['version'] == regforest.__version__"
regforest phantom ct -n 2 --seed 0 -o phantoms
regforest train vertebrae --data phantoms --quick -o ct.rfm
regforest label "$(find phantoms -name '*.mhd' | head -n 1)" -o labelled --model ct.rfm
test -s labelled/*.lml
