/* Data in the formats of the original studies, made here: the robot arm's HDF5 with its keys, cleaned, split by episode
 * and turned grey; frames of occupancy as .npz, cut into windows. */
#include "graphs_run.h"
#include <hdf5.h>

enum { SIDE = 224, SHORT = 20, STEPS = 4, LONG_EPISODE = 75, ROWS = SHORT * STEPS + LONG_EPISODE };

static void put(hid_t file, const char *name, hid_t type, uint32_t rank, const hsize_t *dims, const void *values) {
    hid_t space = H5Screate_simple((int)rank, dims, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    CHECK(set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* `width` numbers a row; of row r, number k. */
static void put_numbers(hid_t file, const char *name, hsize_t width, float (*value)(int r, int k)) {
    float *x = arena_push(test_arena(), sizeof *x * ROWS * width, 64);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < (int)width; k++)
            x[r * (int)width + k] = value(r, k);
    put(file, name, H5T_NATIVE_FLOAT, width > 1 ? 2 : 1, (hsize_t[]){ROWS, width}, x);
}

static float numbered(int r, int k) { return (float)(r + k) / 1024; }
static float ends(int r, int k) {
    return k == 0 && (r == ROWS - 1 || (r < SHORT * STEPS && r % STEPS == STEPS - 1));
}
static float acts(int r, int k) { return k < 3 ? 0.5f : (float)(r % 3); }

/* Twenty episodes of four steps, and one as long as the study leaves out.  Every pixel is (100, 50, 200). */
static void make_recording(void) {
    hid_t file = H5Fcreate(str_format(test_arena(), "%.*s/arm.h5", FSTR(test_folder())).s, H5F_ACC_TRUNC, H5P_DEFAULT,
                           H5P_DEFAULT);
    REQUIRE(file >= 0);
    static const uint8_t colour[3] = {100, 50, 200};
    uint8_t *image = arena_push(test_arena(), (size_t)ROWS * SIDE * SIDE * 3, 64);
    for (size_t i = 0; i < (size_t)ROWS * SIDE * SIDE * 3; i++)
        image[i] = colour[i % 3];
    const hsize_t dims[] = {ROWS, SIDE, SIDE, 3};
    put(file, "front_cam_ob", H5T_NATIVE_UINT8, 4, dims, image);
    put(file, "mount_cam_ob", H5T_NATIVE_UINT8, 4, dims, image);
    put_numbers(file, "ee_cartesian_pos_ob", 7, numbered);
    put_numbers(file, "ee_cartesian_vel_ob", 6, numbered);
    put_numbers(file, "joint_pos_ob", 8, numbered);
    put_numbers(file, "actions", 4, acts);
    put_numbers(file, "terminals", 1, ends);
    H5Fclose(file);
}

TEST_ALL(recorded_arm_is_cleaned_and_split) {
    make_recording();
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(),
                          "graph 1\n"
                          "use \"%.*s/graphs/arm/robot.graph\" as robot\n"
                          "objective o(b : robot.jaco[N]) {\n"
                          "    one[n < N] = 1.0\n"
                          "    metric rows = sum[n] one[n];  metric grey = mean[..] b.image\n"
                          "    metric joints = mean[n] (b.obs[n,14] - b.obs[n,13]);  metric last = max[n] b.obs[n,0]\n"
                          "    metric pos = mean[..] b.pos;  metric kinds = max[..] real(b.grp)\n"
                          "    metric share = robot.jaco.share[0]\n"
                          "}\n",
                          FSTR(test_root())));
    static const struct {
        const char *split;
        int rows;
    } splits[] = {{"train", 60}, {"val", 4}, {"test", 16}}; /* 20 % of 20 episodes, then 10 % of 16 */
    for (int i = 0; i < 3; i++) {
        const char *of = splits[i].split;
        Ran r = test_shell(str_format(test_arena(), "graphc eval p.graph -s robot.folder=. --split=%s", of));
        CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
        CHECK_NEAR(graphs_value(r, str_format(test_arena(), "%s.rows", of).s), splits[i].rows, 0);
        CHECK_NEAR(graphs_value(r, str_format(test_arena(), "%s.grey", of).s), 82.0625, 0); /* 82.04 as a half */
        CHECK_NEAR(graphs_value(r, str_format(test_arena(), "%s.joints", of).s), 1.0 / 1024, 1e-9);
        CHECK_NEAR(graphs_value(r, str_format(test_arena(), "%s.pos", of).s), 0.5, 0);
        CHECK(graphs_value(r, str_format(test_arena(), "%s.kinds", of).s) <= 2);
        CHECK(graphs_value(r, str_format(test_arena(), "%s.last", of).s) < (SHORT * STEPS) / 1024.0);
    }
}

/* The step two ahead stays in its episode: two rows of each of the twenty are left. */
TEST_ALL(recorded_arm_looks_ahead) {
    make_recording();
    test_write(str_format(test_arena(), "%.*s/p.graph", FSTR(test_folder())),
               str_format(test_arena(),
                          "graph 1\n"
                          "use \"%.*s/graphs/arm/robot.graph\" as robot\n"
                          "objective o(b : robot.jaco[N]) { metric rows = sum[n] (1 + 0 * b.pos[n,0]) }\n",
                          FSTR(test_root())));
    Ran r = test_shell(STR("graphc eval p.graph -s robot.folder=. -s robot.target_offset=2 --split=train"));
    CHECK_MSG(r.status == 0, "%.*s", FSTR(r.out));
    CHECK_NEAR(graphs_value(r, "train.rows"), 30, 0);
}

/* Two drives of fourteen frames: five windows each, none across the files; in two of five something changes. */
TEST_ALL(recorded_occupancy_is_cut_into_windows) {
    test_shell(str_format(test_arena(), "mkdir d; cp %.*s/tests/data/drive.npz d/a.npz; cp d/a.npz d/b.npz",
                          FSTR(test_root())));
    Ran r = graphs_run("eval", "occ/recorded.graph", NULL, "-s folder=d -s X=20 -s Y=20 -s Z=12 --split=train");
    CHECK_NEAR(graphs_value(r, "train.repeated"), 0.75, 0); /* 8 of 10 windows, in order */
    CHECK_NEAR(graphs_value(r, "train.empty"), 0, 0);
    CHECK_NEAR(graphs_value(r, "train.persistence"), 480.0 / 483, 1e-6);
}
