/* The programs on the studies' own files: tables of voxels without a header, in which copies and empty grids stand, and
 * images of splats in a file each.  Files are small and made up; what is tested is that they are read, cleaned, split,
 * normalised, trained on, and that the normalisation is undone. */
#include "graphs_run.h"

/* 60 grids behind an id and another number: 12 of them empty, 16 as others before them. */
static void write_voxels(void) {
    enum { CELLS = 1331 };
    Buf out = buf_make(test_arena());
    for (int i = 0; i < 60; i++) {
        char grid[CELLS] = {0};
        for (int j = 0; i % 10 < 8 && j < 1 + i % 4; j++)
            grid[(37 * (i % 40) + 211 * j) % CELLS] = (char)(1 + (i + j) % 4);
        buf_printf(&out, "%d,7", i);
        for (int c = 0; c < CELLS; c++)
            buf_printf(&out, ",%d", grid[c]);
        buf_char(&out, '\n');
    }
    test_shell(STR("mkdir voxels"));
    test_write(str_format(test_arena(), "%.*s/voxels/a.csv", FSTR(test_folder())), buf_str(&out));
}

TEST_ALL(tables_of_voxels_are_trained_on) {
    write_voxels();
    Ran r = graphs_run("train", "vox/tables.graph", NULL, "-s folder=voxels -s epochs=1 -s batch=8 --run r");
    graphs_says(r, "60 rows, 32 after cleaning: train 22, val 3, test 7");
    CHECK_NEAR(graphs_value(r, "train.accuracy_of_empty "), .998, .001);
}

/* Three images that no file of the folder holds, as numpy writes them. */
enum { IMAGES = 3, VALUES = IMAGES * 512 * 8 };
static void write_images(void) {
    Buf out = buf_make(test_arena());
    Str dict = STR("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 512, 8), }\n");
    const char prefix[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)dict.n, 0};
    buf_put(&out, (Str){prefix, sizeof prefix});
    buf_put(&out, dict);
    for (int i = 0; i < VALUES; i++) {
        float x = (float)(i * 37 % 512) / 512;
        buf_put(&out, (Str){(const char *)&x, sizeof x});
    }
    test_write(str_format(test_arena(), "%.*s/in.npy", FSTR(test_folder())), buf_str(&out));
}

TEST_ALL(files_of_splats_are_trained_on_and_normalised_back) {
    const char *more = str_format(test_arena(), "-s folder=%.*s/tests/data/splats -s epochs=1 -s batch=2 --run r",
                                  FSTR(test_root())).s;
    Ran r = graphs_run("train", "splat/files.graph", NULL, more);
    graphs_says(r, "4096 rows, 8 after cleaning: train 4, val 2, test 2");
    write_images();
    r = graphs_run("predict", "splat/files.graph", NULL, str_format(test_arena(), "%s in.npy out.npy", more).s);
    Str out = test_read(str_format(test_arena(), "%.*s/out.npy", FSTR(test_folder())));
    float again[VALUES];
    double mean = 0;
    REQUIRE(out.n > sizeof again);
    memcpy(again, out.s + out.n - sizeof again, sizeof again);
    for (int i = 0; i < VALUES; i++)
        mean += again[i] / (double)VALUES;
    CHECK_NEAR(mean, 31.0 / 64, .1); /* what is hardly trained says the mean of the training set */
}
