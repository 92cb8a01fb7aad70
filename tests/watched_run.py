"""Train, label, evaluate and report in one process that notes what it should not do; `test_trust` starts it.

Usage: ``python -m tests.watched_run FOLDER``. The scans carry a name that has to stay in them. What was noted is
printed as JSON.
"""

import json
import sys
import traceback
from pathlib import Path

NOTED = {"unpickled": [], "network": [], "started": [], "written": []}
NAME = "DOE^JANE"
_LIBRARY_CACHES = ("numba/core/caching.py",)  # machine code of this user's own earlier runs, as .pyc files are


def watch(event, arguments):
    if event == "pickle.find_class":
        callers = [frame.filename for frame in traceback.extract_stack()]
        if not any(caller.endswith(_LIBRARY_CACHES) for caller in callers):
            NOTED["unpickled"].append([*map(str, arguments), callers[-2]])
    elif event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        NOTED["network"].append([event, repr(arguments)])
        raise PermissionError("no network here")
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        NOTED["started"].append([event, repr(arguments)])
    elif event == "open" and isinstance(arguments[0], str) and set(str(arguments[1])) & set("wax+"):
        NOTED["written"].append(arguments[0])


def main():
    folder = Path(sys.argv[1]).resolve()
    sys.addaudithook(watch)
    vertebrae(folder)
    discs(folder)
    print(json.dumps(NOTED))


def vertebrae(folder):
    from experiments.glocker_2fold import main as glocker
    from regforest.cli import main as regforest
    from regforest.datasets.spine_ct_writer import write_spine_ct_case
    from tests.vertebrae.toy_spine import toy_scan

    for i in range(4):
        scan = toy_scan(i)
        write_spine_ct_case(folder / "data", f"patient000{i}", f"10{i}", scan.image, scan.landmarks)
        header = folder / "data" / f"patient000{i}" / f"10{i}" / f"10{i}.mhd"
        header.write_text(f"Comment = {NAME}\n" + header.read_text())
    train = ["train", "vertebrae", "--data", folder / "data", "--quick", "-o", folder / "out" / "ct.rfm"]
    name_in_nifti(toy_scan(9).image, folder / "scan.nii.gz")
    label = ["label", folder / "scan.nii.gz", header, "-o", folder / "out" / "labelled", "--preview"]
    evaluate = ["evaluate", "--predicted", folder / "out" / "labelled", "--reference", folder / "data", "--json"]
    convert = ["convert", folder / "out" / "labelled" / "scan.lml", folder / "out" / "scan.csv"]
    done(regforest, train)
    done(regforest, [*label, "--model", folder / "out" / "ct.rfm"])
    done(regforest, evaluate)
    done(regforest, [*convert, "--reference", folder / "scan.nii.gz"])
    run = ["--quick", "--data", folder / "data", "--out", folder / "out" / "run", "--jobs", "1", "--set", "trees=2"]
    done(glocker, run)


def discs(folder):
    from regforest.cli import main as regforest
    from regforest.discs import DiscLocalizer
    from tests.discs.synthetic import QUICK, make_scan

    DiscLocalizer(QUICK).fit([make_scan(i) for i in range(1, 4)]).save(folder / "out" / "mr.rfm")
    name_in_nifti(make_scan(9).image, folder / "mr.nii")
    command = ["discs", folder / "mr.nii", "-o", folder / "out" / "discs", "--segment", "--preview"]
    done(regforest, [*command, "--model", folder / "out" / "mr.rfm"])


def name_in_nifti(volume, path):
    """Write an image with a patient's name wherever NIfTI has room for text."""
    import nibabel

    from regforest.io import write_volume

    write_volume(volume, path)
    image = nibabel.load(path)
    # copied: the file is about to be written anew, and its voxels are mapped into memory
    image = nibabel.Nifti1Image(image.get_fdata(dtype="float32").copy(), image.affine, image.header)
    for key in ("descrip", "intent_name", "aux_file", "db_name"):
        image.header[key] = NAME.encode()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode()))
    nibabel.save(image, path)


def done(command, arguments):
    status = command([str(argument) for argument in arguments])
    assert status in (0, None), (arguments, status)


if __name__ == "__main__":
    main()
